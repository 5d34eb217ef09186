// The hospital's network; see types.ts.

export type ObjectState = "waiting" | "sending" | "sent" | "committed" | "dead";
export type ObjectKind = "seg" | "sr" | "capture" | "map";
export type ArrivalState = "receiving" | "complete" | "taken in" | "failed";

export interface SenderLine {
  ae_title: string;
  address: string | null;
  site: string | null;
}

export interface SystemLine {
  name: string;
  kind: "dicom" | "web";
  address: string;
  commitment: boolean;
  usual: boolean;
}

export interface NetworkState {
  ae_title: string;
  host: string;
  port: number | null;
  senders: SenderLine[];
  systems: SystemLine[];
  volumes: ObjectKind[];
  radiographs: ObjectKind[];
  arrivals: Record<string, number>;
  outbox: Record<string, number>;
  oldest_seconds: number;
}

export interface ArrivalLine {
  series_uid: string;
  study_uid: string;
  sender: string;
  address: string;
  site: string | null;
  modality: string;
  instances: number;
  expected: number | null;
  first: number;
  last: number;
  state: ArrivalState;
  version: number;
  cases: string[];
  error: string | null;
}

export interface ArrivalPage {
  arrivals: ArrivalLine[];
  counts: Record<string, number>;
  next: string | null;
}

export interface ObjectLine {
  id: number;
  target: string;
  kind: ObjectKind;
  case: string | null;
  result: number | null;
  state: ObjectState;
  awaiting: boolean;
  superseded: boolean;
  tries: number;
  due: number | null;
  error: string | null;
  created_by: string | null;
  created: number;
  changed: number;
}

export interface ObjectPage {
  objects: ObjectLine[];
  counts: Record<string, number>;
  next: number | null;
}

export interface AgainOrder {
  target?: string | null;
}

export interface AgainAnswer {
  objects: number;
}

export interface Reached {
  name: string;
  answers: boolean;
  sentence: string;
  seconds: number;
}

export interface SendOrder {
  targets: string[];
  kinds?: ObjectKind[] | null;
}
