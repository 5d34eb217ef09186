/** How the pages write numbers, times and states: plain words, the same everywhere. */

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** A probability or a score: two decimals, as the report gives it. */
export function score(value: number | null): string {
  return value === null ? "" : value.toFixed(2);
}

/** A DICOM date (20261129) or an ISO date as 2026-11-29; other text as it is. */
export function day(text: string | null): string {
  const match = /^(\d{4})-?(\d{2})-?(\d{2})/.exec(text ?? "");
  return match ? `${match[1]}-${match[2]}-${match[3]}` : (text ?? "");
}

/** Seconds since 1970 as a local date and time, to the minute. */
export function moment(seconds: number | null): string {
  if (seconds === null) return "";
  const date = new Date(seconds * 1000);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** A length of time: 6.1 s, 3 min, 2.5 h. */
export function span(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Number((seconds / 3600).toFixed(1))} h`;
  return `${Math.round(seconds / 86400)} days`;
}

export function bytes(n: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let step = 0;
  while (n >= 1000 && step < units.length - 1) {
    n /= 1000;
    step += 1;
  }
  return `${step === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[step]}`;
}

/** The first letter large. */
export function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A name of a program as people read it: `chest_radiograph` → "chest radiograph". */
export function readable(name: string): string {
  return name.replaceAll("_", " ");
}

const SHORT: Record<string, string> = { mr: "MR", ct: "CT", us: "US", pet: "PET", xray: "X-ray" };

/** A category as people read it: `brain-mr` → "Brain MR". */
export function kind(category: string): string {
  return sentence(category.replaceAll(/[_-]/g, " ").replaceAll(/\w+/g, (word) => SHORT[word] ?? word));
}

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
