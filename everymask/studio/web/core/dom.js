// Elements as values, and lists that keep their elements.

/**
 * An element: properties, then children. `on...` are listeners, `class` and `aria-...` attributes.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class" || name === "for" || name.includes("-") || name === "role" || name === "list") element.setAttribute(name, value);
    else if (name === "style") element.style.cssText = value;
    else /** @type {any} */ (element)[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false).map((child) => /** @type {Node | string} */ (child)));
  return element;
}

/**
 * Show items as the children of an element, in their order; an item's element is made once and kept.
 * @template Item
 * @param {HTMLElement} parent
 * @param {Item[]} items
 * @param {(item: Item) => string | number} keyOf
 * @param {(item: Item) => HTMLElement} make
 * @param {(element: HTMLElement, item: Item) => void} update
 */
export function list(parent, items, keyOf, make, update) {
  /** @type {Map<string, HTMLElement>} */
  const there = new Map();
  for (const child of /** @type {HTMLElement[]} */ ([...parent.children])) there.set(child.dataset.key ?? "", child);
  let place = /** @type {Element | null} */ (parent.firstElementChild);
  for (const item of items) {
    const key = String(keyOf(item));
    const element = there.get(key) ?? make(item);
    element.dataset.key = key;
    there.delete(key);
    update(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const element of there.values()) element.remove();
}

/** @param {string} id */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}
