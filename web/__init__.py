"""The page's files, served as they are; a package only so that the server finds the folder.

Knows no Python: everything here runs in the browser.
"""
