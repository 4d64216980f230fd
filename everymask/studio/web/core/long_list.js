// A long list of which only what is in sight is there as elements: thousands of rows would cost every frame of the
// page something, seen or not.

import { list } from "./dom.js";

const FEW = 60; // so many are elements, all of them
const BEYOND = 6; // elements before and behind those in sight

/** @template Item */
export class LongList {
  /**
   * As `list` of core/dom.js. The style of `parent` leaves --before and --after free for what is no element, and all
   * items are of one length.
   * @param {HTMLElement} parent
   * @param {"y" | "x"} axis
   * @param {(item: Item) => string | number} keyOf
   * @param {(item: Item) => HTMLElement} make
   * @param {(element: HTMLElement, item: Item) => void} update
   */
  constructor(parent, axis, keyOf, make, update) {
    this.parent = parent;
    this.isAcross = axis === "x";
    this.keyOf = keyOf;
    this.make = make;
    this.update = update;
    /** @type {Item[]} */
    this.items = [];
    this.shown = [0, 0];
    this.pitch = 0; // from one item to the next, in CSS pixels
    const follow = () => {
      if (this.items.length > FEW && String(this.inSight()) !== String(this.shown)) this.render();
    };
    new ResizeObserver(follow).observe(parent);
    document.addEventListener("scroll", (event) => /** @type {Node} */ (event.target).contains(parent) && follow(), { capture: true, passive: true });
  }

  /** @param {Item[]} items */
  show(items) {
    this.items = items;
    this.render();
  }

  /**
   * Scroll until an item is in sight.
   * @param {number} place
   * @param {boolean} [isCentred] in the middle
   */
  reveal(place, isCentred = false) {
    const { start, from, to, pitch } = this.measured();
    const [first, last] = [start + place * pitch, start + (place + 1) * pitch];
    const way = isCentred ? (first + last - from - to) / 2 : first < from ? first - from : Math.max(0, last - to);
    const scroller = this.around().find((element) => (this.isAcross ? element.scrollWidth > element.clientWidth : element.scrollHeight > element.clientHeight));
    scroller?.scrollBy(this.isAcross ? { left: way } : { top: way });
    this.render();
  }

  render() {
    const { items, parent } = this;
    if (items.length > FEW && parent.childElementCount < 2) list(parent, items.slice(0, 2), this.keyOf, this.make, this.update); // to be measured
    this.shown = items.length > FEW ? this.inSight() : [0, items.length];
    const [first, last] = this.shown;
    parent.style.setProperty("--before", `${first * this.pitch}px`);
    parent.style.setProperty("--after", `${(items.length - last) * this.pitch}px`);
    list(parent, items.slice(first, last), this.keyOf, this.make, this.update);
  }

  /** The places of the first item that is to be an element, and of the first behind them. */
  inSight() {
    const { start, from, to, pitch } = this.measured();
    const count = this.items.length;
    if (!pitch) return [0, Math.min(count, FEW)]; // hidden
    const first = Math.min(count - 1, Math.max(0, Math.floor((from - start) / pitch) - BEYOND));
    return [first, Math.max(first + 1, Math.min(count, Math.ceil((to - start) / pitch) + BEYOND))];
  }

  /** Where the first item would begin, what is in sight, and the pitch, along the axis of the window. */
  measured() {
    const { parent, isAcross } = this;
    const [one, two] = /** @type {HTMLElement[]} */ ([...parent.children]);
    if (two) this.pitch = isAcross ? two.offsetLeft - one.offsetLeft : two.offsetTop - one.offsetTop;
    const sides = (/** @type {Element} */ element) => {
      const { left, right, top, bottom } = element.getBoundingClientRect();
      return isAcross ? [left, right] : [top, bottom];
    };
    const boxes = this.around().map(sides);
    const begin = one ? sides(one)[0] - this.shown[0] * this.pitch : sides(parent)[0];
    const from = Math.max(0, ...boxes.map(([first]) => first));
    const to = Math.min(isAcross ? window.innerWidth : window.innerHeight, ...boxes.map(([, last]) => last));
    return { start: begin, from, to, pitch: this.pitch };
  }

  /** The elements that cut off what is beyond them, from the list outwards. */
  around() {
    const found = [];
    for (let element = /** @type {HTMLElement | null} */ (this.parent); element; element = element.parentElement) {
      if (getComputedStyle(element).overflow !== "visible") found.push(element);
    }
    return found;
  }
}
