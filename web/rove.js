// One stop for Tab, arrows within: a group of buttons that does not stand in the way of those who only pass.
// Knows no button's meaning.

const NEXT = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** @param {HTMLElement} box @param {string} selector of its buttons; a box that can be focused itself is the stop, else its first button */
export function rove(box, selector) {
  const all = () => [...box.querySelectorAll(selector)].filter((one) => !one.hidden);
  const own = box.tabIndex >= 0;
  if (!own) all().forEach((one, at) => { one.tabIndex = at ? -1 : 0; });

  box.addEventListener('keydown', (event) => {
    const buttons = all();
    const at = buttons.indexOf(document.activeElement);
    let to = null;
    if (event.key in NEXT && (at >= 0 || own)) to = at < 0 ? 0 : at + NEXT[event.key];
    else if (event.key === 'Home' && at >= 0) to = 0;
    else if (event.key === 'End' && at >= 0) to = buttons.length - 1;
    const next = to === null ? null : buttons[Math.max(0, Math.min(buttons.length - 1, to))];
    if (!next) return;
    event.preventDefault();
    if (!own) buttons.forEach((one) => { one.tabIndex = one === next ? 0 : -1; });
    next.focus();
  });
}
