// Measures as people read them; the unit stands in the measure's name (volume_ml), as in `casewise.wording`.

import { sentence } from "./words.ts";

const UNITS: Record<string, string> = {
  ml: "ml",
  l: "l",
  mm: "mm",
  cm: "cm",
  mm2: "mm²",
  cm2: "cm²",
  mm3: "mm³",
  px: "pixels",
  voxels: "voxels",
  hu: "HU",
  percent: "%",
  times: "× normal",
  s: "s",
};
// A figure that reads better in the next larger unit: from this amount on, divided by that.
const LARGER: Record<string, [from: number, divisor: number, unit: string]> = {
  ml: [1000, 1000, "l"],
  mm2: [1000, 100, "cm²"],
  mm3: [1000, 1000, "ml"],
};
const NAMES: Record<string, string> = { dice: "Dice", auc: "AUC", iou: "IoU", hd95: "95 % Hausdorff distance" };

/** (what, how much with its unit): ["Volume", "4.1 l"] of `volume_ml`, 4100. */
export function measured(name: string, value: number): [what: string, amount: string] {
  const at = name.lastIndexOf("_");
  const suffix = name.slice(at + 1);
  const unit = at > 0 ? UNITS[suffix] : undefined;
  if (unit === undefined) return [measureName(name), figure(value)];
  const larger = LARGER[suffix];
  if (larger && Math.abs(value) >= larger[0]) return [measureName(name.slice(0, at)), `${figure(value / larger[1])} ${larger[2]}`];
  return [measureName(name.slice(0, at)), `${figure(value)} ${unit}`];
}

export function measureName(name: string): string {
  const [first = "", ...rest] = name.split("_");
  return sentence([NAMES[first.toLowerCase()] ?? first, ...rest].join(" "));
}

/** Three significant digits; thousands apart by a thin space. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const text = Number.isInteger(value) || Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
  return text.replace("-", "−").replace(/\B(?=(\d{3})+(?!\d)(?!.*\.))/g, "\u202f");
}
