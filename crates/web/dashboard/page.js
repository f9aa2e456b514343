// Elements: how they are found, made and written.
//
// Invariant: nothing here makes elements of text, so no name of a stock can become one.

/**
 * The element of this id, which the page has.
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (element);
}

/**
 * An element with attributes and children.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Writes a text where it is another one.
 * @param {Element} element that has text alone
 * @param {string} text
 */
export function write(element, text) {
  const node = element.firstChild;
  if (node instanceof Text) {
    if (node.data !== text) node.data = text;
  } else {
    element.textContent = text;
  }
}

/**
 * Sets an attribute where it is another one; null takes it away.
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value
 */
export function mark(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * Has a table as many rows as there are to be.
 * @param {HTMLTableSectionElement} body
 * @param {number} count
 * @param {() => Node} row
 */
export function fit(body, count, row) {
  while (body.rows.length > count) body.deleteRow(-1);
  while (body.rows.length < count) body.append(row());
}

/** @param {unknown} error */
export function wordsOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/** A price: what is before the point and what is behind it, so that points stand below each other. */
export class Figure {
  /**
   * @param {HTMLElement} element
   */
  constructor(element) {
    this.element = element;
    this.whole = make('span', { class: 'whole' });
    this.places = make('span', { class: 'places' });
    element.append(this.whole, this.places);
  }

  /** @param {string | undefined} text */
  show(text) {
    const point = text?.indexOf('.') ?? -1;
    write(this.whole, text === undefined ? '–' : point < 0 ? text : text.slice(0, point));
    write(this.places, text === undefined || point < 0 ? '' : text.slice(point));
  }
}

/** The colours of the palette as they are now, for canvases. */
export class Palette {
  constructor() {
    this.probe = make('i', { hidden: '' });
    document.body.append(this.probe);
    /** @type {Map<string, string>} */
    this.colours = new Map();
  }

  /** They are others now. */
  forget() {
    this.colours.clear();
  }

  /** @param {string} name of the custom property */
  colour(name) {
    let colour = this.colours.get(name);
    if (colour === undefined) {
      this.probe.style.color = `var(--${name})`;
      colour = getComputedStyle(this.probe).color;
      this.colours.set(name, colour);
    }
    return colour;
  }
}
