// What the calls under /api/v1 take and give; the server's `schemas` say the same, and a test compares the two.

export type Range = [number, number];
export type BoxPairs = Range[];
export type Runs = Range[];
export type Role = "reader" | "annotator" | "admin";
export type ReadingState = "new" | "analysed" | "annotated" | "done";
export type JobState = "waiting" | "running" | "done" | "failed" | "dead" | "stopped";
export type Strategy = "first" | "random" | "uncertainty" | "unlike";
export type SetImageState = "waiting" | "open" | "accepted" | "skipped" | "excluded";
export type Values = Record<string, unknown>;

export interface MaskPatch {
  box: BoxPairs;
  data: string;
}

// People, tokens, audit, the server's state

export interface Me {
  name: string;
  role: Role;
  users: boolean;
  show_names: boolean;
  version: string;
  network: boolean;
}

export interface SignIn {
  name: string;
  password: string;
}

export interface UserLine {
  name: string;
  role: Role;
  source: string;
  disabled: boolean;
  created: number;
}

export interface UserOrder {
  role: Role;
  password?: string | null;
  disabled?: boolean;
}

export interface TokenOrder {
  role?: Role;
  note?: string;
  hours?: number;
}

export interface TokenLine {
  id: string;
  user: string;
  role: Role;
  note: string;
  created: number;
  expires: number;
}

export interface NewToken extends TokenLine {
  token: string;
}

export interface AuditLine {
  id: number;
  time: number;
  user: string;
  address: string;
  action: string;
  object: string;
  outcome: string;
}

export interface AuditCheck {
  rows: number;
  problem: string | null;
}

export interface ServerState {
  version: string;
  started: number;
  disk_free: number;
  disk_total: number;
  memory: number;
  sessions: number;
  images_cached: number;
  queue: Record<string, number>;
  workers: string[];
}

// Cases

export interface FindingLine {
  label: string;
  probability: number | null;
  region: string | null;
}

export interface CaseLine {
  key: string;
  name: string;
  category: string | null;
  site: string | null;
  modality: string | null;
  study_date: string | null;
  shape: number[];
  structures: string[];
  headline: string | null;
  findings: FindingLine[];
  state: ReadingState;
  assigned: string | null;
  added: number;
  /** Whether OHIF is there and displays it. */
  ohif: boolean;
}

export interface CasePage {
  cases: CaseLine[];
  next: string | null;
  total: number;
  counts: Record<string, Record<string, number>>;
}

export interface Letters {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

export interface Plane {
  name: string;
  x: number;
  y: number;
  through: number | null;
  flip_x: boolean;
  flip_y: boolean;
  size: [number, number];
  step: number | null;
  letters: Letters | null;
}

export interface Label {
  name: string;
  kind: string;
  origin: Values;
}

export interface CaseDetail extends CaseLine {
  channels: string[];
  dtype: string;
  window: [number, number];
  unit: string | null;
  spacing_known: boolean;
  orientation_known: boolean;
  loop: boolean;
  frame_times: number[];
  planes: Plane[];
  labels: Label[];
  facts: Values;
  notes: string[];
  same_subject: string[];
  bytes: number;
}

export interface Similar {
  key: string;
  name: string;
  score: number;
  latent: number | null;
  content: number | null;
  category: string | null;
  site: string | null;
  structures: string[];
}

export interface Uploaded {
  added: number;
  known: number;
  keys: string[];
  failed: Record<string, string>[];
  job: number | null;
}

export interface Assignment {
  user?: string | null;
  state?: "open" | "done";
}

export interface RegionQuery {
  box: BoxPairs;
}

// Sessions

export interface SessionOrder {
  case: string;
  structure: string;
  set?: number | null;
  box?: BoxPairs | null;
  begin?: "guess" | "mask" | "empty";
  model?: string | null;
}

export interface ObjectState {
  number: number;
  structure: string;
  round: number;
  version: number;
  strokes: number;
  seconds: number;
  box: BoxPairs | null;
  voxels: number;
  volume_ml: number | null;
  area_cm2: number | null;
  accepted: boolean;
  can_undo: boolean;
  can_redo: boolean;
  mask: MaskPatch | null;
  foreground: Runs;
  background: Runs;
}

export interface SessionState {
  id: string;
  case: string;
  set: number | null;
  user: string;
  model: string;
  current: number;
  reason: string;
  similar: string[];
  objects: ObjectState[];
}

export interface StaleRound {
  detail: string;
  session: SessionState;
}

export interface OfObject {
  number?: number | null;
  after: number;
  seconds?: number;
}

export interface StrokesOrder extends OfObject {
  foreground?: Runs;
  background?: Runs;
  count?: number;
}

export interface EraseOrder extends OfObject {
  voxels: Runs;
}

export interface BoxOrder extends OfObject {
  box: BoxPairs;
}

export type Step = OfObject;

export interface ObjectOrder {
  structure?: string | null;
  number?: number | null;
}

export interface Answer {
  object: ObjectState;
  patch: MaskPatch | null;
  changed: number;
  merged: number;
  ms: number;
  reason: string;
}

export interface AcceptOrder {
  number?: number | null;
  seen?: number[] | null;
  seconds?: number;
  force?: boolean;
}

export interface NextImage {
  key: string;
  name: string;
  reason: string;
  prepared: boolean;
  job: number | null;
}

export interface Accepted {
  key: string;
  structures: string[];
  next: NextImage | null;
}

// Sets

export interface SetOrder {
  name: string;
  structure: string;
  strategy?: Strategy;
  category?: string | null;
  site?: string | null;
  cases?: string[] | null;
}

export interface SetChange {
  name?: string | null;
  strategy?: Strategy | null;
}

export interface SetImage {
  key: string;
  name: string;
  state: SetImageState;
  user: string | null;
  strokes: number | null;
  seconds: number | null;
  doubt: number | null;
  reason: string;
  ended: number | null;
}

export interface SetLine {
  id: number;
  name: string;
  structure: string;
  strategy: Strategy;
  counts: Record<string, number>;
  strokes: number[];
  seconds: number[];
  created_by: string | null;
  created: number;
}

export interface SetDetail extends SetLine {
  images: SetImage[];
  next: NextImage | null;
  following: NextImage | null;
}

export interface SetImageChange {
  state: "waiting" | "skipped" | "excluded";
}
