// Drawings of the tools, 20 × 20.

import { svg } from "./dom.ts";

const PATHS: Record<string, string[]> = {
  box: ["M3.5 5.5h13v9h-13z"],
  foreground: ["M4 16l1-4 8.5-8.5 3 3L8 15z", "M11.5 5.5l3 3", "M14 17h4M16 15v4"],
  background: ["M4 16l1-4 8.5-8.5 3 3L8 15z", "M11.5 5.5l3 3", "M14 17h4"],
  erase: ["M8 16l-4.5-4.5 7-7 6 6L11 16z", "M7 8l6 6", "M8 16h9"],
  window: ["M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14", "M10 3v14a7 7 0 0 0 0-14z"],
  move: ["M10 2.5v15M2.5 10h15", "M8 4.5l2-2 2 2M8 15.5l2 2 2-2M4.5 8l-2 2 2 2M15.5 8l2 2-2 2"],
  fit: ["M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4", "M7 7h6v6H7z"],
  hide: ["M2 10s3-5 8-5 8 5 8 5-3 5-8 5-8-5-8-5z", "M10 7.6a2.4 2.4 0 1 0 0 4.8a2.4 2.4 0 1 0 0-4.8"],
  grow: ["M4 6h8M4 10h12M4 14h8", "M14 3.5v3M14 13.5v3"],
  play: ["M6 4l10 6-10 6z"],
  pause: ["M6 4v12M13 4v12"],
  keys: ["M7.5 7.5a2.5 2.5 0 1 1 3.6 2.3c-.7.4-1.1.9-1.1 1.7v.5", "M10 15v.4"],
};

export function icon(name: string): SVGSVGElement {
  return svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, ...(PATHS[name] ?? []).map((d) => svg("path", { d })));
}
