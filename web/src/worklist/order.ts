// The worklist as it was left, so that a case's page knows which one comes before and after it.

export interface Left {
  search: string;
  keys: string[];
  /** Where the list goes on: null at its end. */
  next: string | null;
}

const NAME = "casewise-worklist";

export function remember(left: Left): void {
  sessionStorage.setItem(NAME, JSON.stringify(left));
}

export function recall(): Left | null {
  try {
    return JSON.parse(sessionStorage.getItem(NAME) ?? "null") as Left | null;
  } catch {
    return null;
  }
}
