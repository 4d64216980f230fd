// Icons of our own, drawn on a 20 x 20 grid with a line of 1.6.

/** @type {Record<string, string>} */
const PATHS = {
  click: '<path d="M6 3.5 15.5 9l-4.2 1.2L9 14.5z"/><path d="m11.5 11.5 4 4"/>',
  select: '<path d="M3.5 6V4.5a1 1 0 0 1 1-1H6m3 0h2m3 0h1.5a1 1 0 0 1 1 1V6m0 3v2m0 3v1.500a1 1 0 0 1-1 1H14m-3 0H9m-3 0H4.500a1 1 0 0 1-1-1V14m0-3V9"/>',
  brush: '<path d="M16.500 3.500c-3 1-6.500 4.200-8 6.500l2 2c2.200-1.500 5.300-5.200 6-8.500z"/><path d="M8 11c-2 0-3 1.300-3 3 0 1-.700 1.800-1.500 2 2 .8 6.500.5 6.500-3"/>',
  erase: '<path d="m8.500 16.500-4.700-4.700a1 1 0 0 1 0-1.400l6.600-6.600a1 1 0 0 1 1.400 0l4.400 4.400a1 1 0 0 1 0 1.400l-6.900 6.900z"/><path d="m7 7.500 5.500 5.500M8.500 16.500h8"/>',
  polygon: '<path d="M5 15 4 7l7-3.500L16.500 8 14 15.500z"/><circle cx="4" cy="7" r="1.400"/><circle cx="11" cy="3.500" r="1.400"/><circle cx="16.500" cy="8" r="1.400"/><circle cx="14" cy="15.500" r="1.400"/><circle cx="5" cy="15" r="1.400"/>',
  hand: '<path d="M6.500 10V5.200a1.200 1.200 0 0 1 2.400 0V9m0-.500V4a1.200 1.200 0 0 1 2.400 0v4.500m0 .200V5a1.200 1.200 0 0 1 2.400 0v6c0 3.500-1.500 5.500-4.300 5.500-2.500 0-3.600-1.300-4.900-3.600l-1.200-2.200c-.5-1 .8-1.900 1.600-1.100l1.600 1.600"/>',
  everything: '<path d="M4 4h4v4H4zM12 4h4v4h-4zM4 12h4v4H4z"/><path d="M14 11.500v5M11.500 14h5"/>',
  undo: '<path d="M7 5 3.500 8.500 7 12"/><path d="M3.500 8.500h8a4.500 4.500 0 0 1 0 9H9"/>',
  redo: '<path d="m13 5 3.500 3.500L13 12"/><path d="M16.500 8.500h-8a4.500 4.500 0 0 0 0 9H11"/>',
  previous: '<path d="m12 4.500-5.500 5.500 5.500 5.500"/>',
  next: '<path d="m8 4.500 5.500 5.500L8 15.500"/>',
  export: '<path d="M10 12.500V3.500m0 0L6.500 7M10 3.500 13.500 7"/><path d="M4 11.500v4a1 1 0 0 0 1 1h10a1 1 0 0 0 1-1v-4"/>',
  keys: '<rect x="2.500" y="5.500" width="15" height="9.500" rx="1.600"/><path d="M5.500 8.500h.01M8.500 8.500h.01M11.500 8.500h.01M14.500 8.500h.01M7 12h6"/>',
  fit: '<path d="M3.500 7V4.500a1 1 0 0 1 1-1H7m6 0h2.500a1 1 0 0 1 1 1V7m0 6v2.500a1 1 0 0 1-1 1H13m-6 0H4.500a1 1 0 0 1-1-1V13"/>',
  trash: '<path d="M4 6h12M8 6V4h4v2m-6.500 0 .6 10h7.800l.6-10"/>',
  lock: '<rect x="5" y="9" width="10" height="7.500" rx="1.400"/><path d="M7 9V6.500a3 3 0 0 1 6 0V9"/>',
  unlock: '<rect x="5" y="9" width="10" height="7.500" rx="1.400"/><path d="M7 9V6.500a3 3 0 0 1 5.800-1"/>',
  check: '<path d="m4.500 10.500 3.500 3.500 7.500-8"/>',
  close: '<path d="m5 5 10 10M15 5 5 15"/>',
  merge: '<path d="M8.500 5a5 5 0 1 0 3 9.500 5 5 0 1 0 0-9 5 5 0 0 0-3-.5z"/>',
  subtract: '<circle cx="8" cy="10" r="5"/><path stroke-dasharray="1.500 2" d="M11 6.300a5 5 0 1 1 0 7.400"/>',
  edit: '<path d="m4 16 .8-3.500L13 4.300a1.300 1.300 0 0 1 1.900 0l.8.8a1.300 1.300 0 0 1 0 1.900L7.500 15.200z"/>',
  eye: '<path d="M2.500 10S5.500 5 10 5s7.500 5 7.500 5-3 5-7.500 5-7.500-5-7.500-5z"/><circle cx="10" cy="10" r="2.200"/>',
  outline: '<path d="M5 13.500C3 9 6 4 10.500 4S17 8 15.500 12s-3 2.500-5 2.500-4.500 2-5.500-1z"/>',
  checker: '<path d="M3.500 3.500h13v13h-13z"/><path fill="currentColor" stroke="none" d="M3.500 3.500H10V10H3.500zM10 10h6.500v6.500H10z"/>',
  isolate: '<circle cx="10" cy="10" r="3"/><path stroke-dasharray="1.500 2.200" d="M10 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14"/>',
  sliders: '<path d="M3.500 6h6m4 0h3M3.500 14h3m4 0h6"/><circle cx="11.500" cy="6" r="1.900"/><circle cx="8.500" cy="14" r="1.900"/>',
  plus: '<path d="M10 4v12M4 10h12"/>',
  play: '<path d="M6.500 4.500v11l9-5.500z"/>',
  stop: '<path d="M5.500 5.500h9v9h-9z"/>',
  microphone: '<rect x="7.500" y="3" width="5" height="9" rx="2.500"/><path d="M4.500 9.500a5.500 5.500 0 0 0 11 0M10 15v2.500"/>',
  search: '<circle cx="9" cy="9" r="5"/><path d="m13 13 3.500 3.500"/>',
  wand: '<path d="m4 16 8-8M10.500 6.500l3 3"/><path d="M14 3v3M12.500 4.500h3M16 10v2M15 11h2M6 4v2M5 5h2"/>',
  pause: '<path d="M7 5v10M13 5v10"/>',
  track: '<path d="M3.500 10h9m0 0L9 6.500m3.500 3.500L9 13.500"/><path d="M16 5v10"/>',
  trackBack: '<path d="M16.500 10h-9m0 0L11 6.500M7.500 10l3.500 3.500"/><path d="M4 5v10"/>',
  doubt: '<path d="M5.500 7.500A3 3 0 1 1 8.500 10.500v1.500M8.500 15v.01"/><path d="m13 6.500 3.500 3.500-3.500 3.500"/>',
  doubtBack: '<path d="M9.500 7.500a3 3 0 1 1 3 3v1.500M12.500 15v.01"/><path d="M7 6.500 3.500 10 7 13.500"/>',
  absent: '<circle cx="10" cy="10" r="6" stroke-dasharray="2 2.200"/><path d="M5 15 15 5"/>',
  forget: '<path d="M4 5v10"/><path d="M8 7.500h8M8 12.500h8" stroke-dasharray="2 2"/>',
  panel: '<path d="M4 6h12M4 10h12M4 14h12"/>',
  copy: '<rect x="7" y="7" width="9.500" height="9.500" rx="1.400"/><path d="M4.500 13H4a.5.5 0 0 1-.5-.5v-8a1 1 0 0 1 1-1h8a.500.500 0 0 1 .5.5v.5"/>',
};

/**
 * @param {string} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 20 20", width: "20", height: "20", fill: "none", stroke: "currentColor", "stroke-width": "1.6", "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" })) svg.setAttribute(key, value);
  svg.innerHTML = PATHS[name] ?? "";
  return svg;
}
