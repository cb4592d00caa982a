"""The scenes there are, by name.

Knows no story; a new scene is one line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from . import barge_in, breathing_room, cold_start, failure_injection, long_read, persona_script, replay, swap, throttle
from .scene import Scene, scene_of

MODULES = (breathing_room, barge_in, cold_start, long_read, swap, throttle, failure_injection, persona_script, replay)

SCENES: Mapping[str, Scene] = MappingProxyType({scene.name: scene for scene in map(scene_of, MODULES)})
