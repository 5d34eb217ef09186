// Results, jobs and models; see types.ts.

import type { BoxPairs, JobState, Values } from "./types.ts";

export interface VerdictLine {
  user: string;
  agree: boolean;
  note: string;
  created: number;
}

export interface FindingDetail {
  number: number;
  application: string;
  label: string;
  kind: string;
  probability: number | null;
  region: string | null;
  sentence: string;
  measures: Record<string, number>;
  box: BoxPairs | null;
  place: number[] | null;
  mask: string | null;
  segment: string | null;
  verdicts: VerdictLine[];
}

export interface NotFound {
  label: string;
  application: string;
  score: number | null;
  sentence: string;
}

export interface ModelAnswer {
  name: string;
  parent: string | null;
  method: string;
  reason: string;
  sentence: string;
  refined_on: string[];
  before: Record<string, number>;
  after: Record<string, number>;
}

export interface ResultDetail {
  id: string;
  key: string;
  created: number | null;
  headline: string;
  category: string | null;
  category_probability: number | null;
  findings: FindingDetail[];
  not_found: NotFound[];
  not_looked_for: string;
  measures: FindingDetail[];
  quality: FindingDetail[];
  failed: Record<string, string>[];
  model: ModelAnswer;
  applications: string[];
  notes: string[];
  seconds: Record<string, number>;
  report: string | null;
  earlier: number;
}

export interface VerdictOrder {
  result: string;
  finding: number;
  agree: boolean;
  note?: string;
}

export interface JobLine {
  id: number;
  kind: string;
  state: JobState;
  title: string;
  progress: [number, number];
  message: string;
  error: string | null;
  tries: number;
  priority: number;
  worker: string | null;
  created_by: string | null;
  created: number;
  changed: number;
  ended: number | null;
  result: Values | null;
  url: string;
}

export interface JobPage {
  jobs: JobLine[];
  counts: Record<string, number>;
  workers: string[];
  images_an_hour: number | null;
  waited: number;
  next: number | null;
}

export interface AnalyseOrder {
  kind?: "analyse";
  cases: string[];
  application?: string | null;
  model?: string | null;
  adapt?: "none" | "similar" | "subset" | null;
  priority?: number;
}

export interface ModelLine {
  key: string;
  name: string;
  origin: "shipped" | "archive" | "file";
  task: string;
  structures: string[];
  parent: string | null;
  parent_name: string | null;
  refined_on: number;
  licence: string | null;
  research_only: boolean;
  measures: Record<string, number>;
  created: string | null;
  card: string | null;
}

export interface ModelPage {
  models: ModelLine[];
  tasks: Record<string, Values>;
}

export interface TrainOrder {
  task: "segmenter" | "classifier";
  name: string;
  structures?: string[];
  category?: string | null;
  start?: string | null;
  steps?: number | null;
}

export interface OpinionLine {
  application: string;
  label: string;
  agree: number;
  disagree: number;
}
