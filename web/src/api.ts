// The server's calls. Every error is one sentence that can be displayed as it is.

import type * as T from "./types.ts";
import type * as N from "./types-network.ts";
import type * as R from "./types-results.ts";

/** A refusal by the server, with its sentence. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    sentence: string,
    /** What came with the sentence. */
    readonly body: unknown = null,
  ) {
    super(sentence);
  }
}

/** The server did not answer at all. */
export class ConnectionError extends Error {
  constructor() {
    super("The server does not answer. Check the connection.");
  }
}

type Query = Record<string, string | number | boolean | null | undefined>;

/** An address under /api/v1; parts are encoded, empty query values left out. */
export function address(parts: (string | number)[], query: Query = {}): string {
  const words = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const search = new URLSearchParams(words.map(([name, value]) => [name, String(value)])).toString();
  return "/api/v1/" + parts.map((part) => encodeURIComponent(part)).join("/") + (search ? "?" + search : "");
}

/** Fetch, with the header that shows the server that a page of its own asks. */
export async function ask(url: string, options: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, { ...options, headers: { "X-Casewise": "1", ...options.headers }, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ConnectionError();
  }
  if (answer.status === 401) signIn(); // a login ends while a page is open: when it was idle for long, or the person was disabled
  if (!answer.ok) {
    const body: unknown = await answer.json().catch(() => null);
    throw new ApiError(answer.status, sentence(body) ?? `The server answered ${answer.status} ${answer.statusText}.`, body);
  }
  return answer;
}

/** To the login page, and back here afterwards. */
function signIn(): void {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

function sentence(body: unknown): string | null {
  const detail = (body as { detail?: unknown } | null)?.detail;
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return null;
  return detail.map((fault) => `${String(fault.loc?.at(-1) ?? "")}: ${String(fault.msg)}`).join("; ") + ".";
}

async function call<A>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<A> {
  const options: RequestInit = { method };
  if (signal) options.signal = signal;
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { "Content-Type": "application/json" };
  }
  const answer = await ask(url, options);
  return (answer.status === 204 ? undefined : await answer.json()) as A;
}

const get = <A>(url: string, signal?: AbortSignal) => call<A>("GET", url, undefined, signal);
const post = <A>(url: string, body: unknown = {}) => call<A>("POST", url, body);

export interface CaseQuery {
  text?: string;
  category?: string;
  site?: string;
  finding?: string;
  state?: string;
  mine?: boolean;
  order?: string;
  after?: string;
  limit?: number;
}

export const api = {
  me: () => get<T.Me>(address(["me"])),
  signOut: () => post<void>(address(["logout"])),

  cases: (query: CaseQuery = {}, signal?: AbortSignal) => get<T.CasePage>(address(["cases"], { ...query }), signal),
  case: (key: string, signal?: AbortSignal) => get<T.CaseDetail>(address(["cases", key]), signal),
  similar: (key: string, k = 8) => get<T.Similar[]>(address(["cases", key, "similar"], { k })),
  assign: (key: string, order: T.Assignment) => call<T.CaseLine>("PUT", address(["cases", key, "assignment"]), order),
  thumbnail: (key: string, structure?: string) => address(["cases", key, "thumbnail"], { structure }),
  mask: (key: string, name: string, signal?: AbortSignal) => get<T.MaskPatch>(address(["cases", key, "masks", name]), signal),

  openSession: (order: T.SessionOrder) => post<T.SessionState>(address(["sessions"]), order),
  session: (id: string, number: number) => get<T.SessionState>(address(["sessions", id], { number })),
  strokes: (id: string, order: T.StrokesOrder) => post<T.Answer>(address(["sessions", id, "strokes"]), order),
  erase: (id: string, order: T.EraseOrder) => post<T.Answer>(address(["sessions", id, "erase"]), order),
  box: (id: string, order: T.BoxOrder) => post<T.Answer>(address(["sessions", id, "box"]), order),
  undo: (id: string, order: T.Step) => post<T.Answer>(address(["sessions", id, "undo"]), order),
  redo: (id: string, order: T.Step) => post<T.Answer>(address(["sessions", id, "redo"]), order),
  grow: (id: string, order: T.Step) => post<T.Answer>(address(["sessions", id, "grow"]), order),
  object: (id: string, order: T.ObjectOrder) => post<T.SessionState>(address(["sessions", id, "objects"]), order),
  accept: (id: string, order: T.AcceptOrder) => post<T.Accepted>(address(["sessions", id, "accept"]), order),
  closeSession: (id: string) => call<void>("DELETE", address(["sessions", id])),

  jobs: (state?: string, after?: number) => get<R.JobPage>(address(["jobs"], { state, after })),
  job: (id: number) => get<R.JobLine>(address(["jobs", id])),
  analyse: (order: R.AnalyseOrder) => post<R.JobLine>(address(["jobs"]), { kind: "analyse", ...order }),
  stopJob: (id: number) => call<R.JobLine>("DELETE", address(["jobs", id])),
  jobAgain: (id: number) => post<R.JobLine>(address(["jobs", id, "again"])),

  result: (key: string) => get<R.ResultDetail>(address(["results", key])),
  findingMask: (key: string, name: string) => get<T.MaskPatch>(address(["results", key, "masks", name])),
  verdict: (key: string, order: R.VerdictOrder) => post<R.VerdictLine[]>(address(["results", key, "verdict"]), order),

  sets: () => get<T.SetLine[]>(address(["sets"])),
  set: (id: number) => get<T.SetDetail>(address(["sets", id])),
  newSet: (order: T.SetOrder) => post<T.SetDetail>(address(["sets"]), order),
  takeNext: (id: number) => post<T.NextImage | null>(address(["sets", id, "next"])),
  changeSet: (id: number, order: T.SetChange) => call<T.SetDetail>("PATCH", address(["sets", id]), order),
  changeSetImage: (id: number, key: string, order: T.SetImageChange) =>
    call<T.SetDetail>("PUT", address(["sets", id, "images", key]), order),

  models: () => get<R.ModelPage>(address(["models"])),
  train: (order: R.TrainOrder) => post<R.JobLine>(address(["models", "train"]), order),

  network: () => get<N.NetworkState>(address(["dicom"])),
  arrivals: (query: { state?: string; after?: string; limit?: number } = {}) => get<N.ArrivalPage>(address(["dicom", "arrivals"], query)),
  objects: (query: { state?: string; case?: string; after?: number; limit?: number } = {}) => get<N.ObjectPage>(address(["dicom", "outbox"], query)),
  objectAgain: (id: number) => post<N.ObjectLine>(address(["dicom", "outbox", id, "again"])),
  allAgain: (order: N.AgainOrder = {}) => post<N.AgainAnswer>(address(["dicom", "outbox", "again"]), order),
  echo: (name: string) => post<N.Reached>(address(["dicom", "echo", name])),
  send: (key: string, order: N.SendOrder) => post<R.JobLine>(address(["cases", key, "send"]), order),

  users: () => get<T.UserLine[]>(address(["users"])),
  setUser: (name: string, order: T.UserOrder) => call<T.UserLine>("PUT", address(["users", name]), order),
  removeUser: (name: string) => call<void>("DELETE", address(["users", name])),
  tokens: () => get<T.TokenLine[]>(address(["tokens"])),
  newToken: (order: T.TokenOrder) => post<T.NewToken>(address(["tokens"]), order),
  removeToken: (id: string) => call<void>("DELETE", address(["tokens", id])),
  audit: (query: { after?: number; user?: string; action?: string } = {}) => get<T.AuditLine[]>(address(["audit"], query)),
  server: () => get<T.ServerState>(address(["server"])),
};
