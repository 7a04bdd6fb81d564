/** The session's bucket in an experiment, 0 to 99. Throws a TypeError if the text has no UTF-8. */
export function bucket(experimentId: string, sessionId: string): number;

export interface Assignment {
  /** The experiment's id; what the caller asked for if the client does not know it. */
  readonly experimentId: string;
  /** null if nothing is known and no default was given. */
  readonly variant: string | null;
  /** `control`: the session's name could not be hashed. `default`: the experiment is not known. */
  readonly source: "allocation" | "sticky" | "control" | "default";
  /** The published decision behind it. */
  readonly allocationId: string | null;
}

export interface Exposure extends Assignment {
  readonly sessionId: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Where the last good list is kept for the next start: localStorage, or `fileStorage` of mab-client/node. */
export interface Storage {
  getItem(name: string): string | null;
  setItem(name: string, text: string): void;
}

/** Where sessions' variants are kept. If a method throws, the session gets its bucket's variant. */
export interface StickyStore {
  get(experimentId: string, sessionId: string): string | null | undefined;
  put(experimentId: string, sessionId: string, variant: string): void;
}

export interface Options {
  /** A read key, if the API asks for one. Not for browsers: every visitor could read it. */
  key?: string;
  /** How often to ask, at least 1; 60 unless told. */
  pollSeconds?: number;
  /** The age above which `status().isStale` is true; 3600 unless told. */
  staleSeconds?: number;
  storage?: Storage;
  /** A list to begin with if the storage has none: an answer of GET /allocations, as text or parsed. */
  bootstrap?: string | object;
  /** The variant of an experiment that the client does not know. */
  default?: string;
  /** The same by experiment. */
  defaults?: Record<string, string>;
  sticky?: StickyStore;
  /** Takes the assignments made, in batches. */
  onExposures?: (batch: Exposure[]) => void;
  fetch?: typeof fetch;
  /** Milliseconds since 1970. */
  clock?: () => number;
}

export interface Status {
  experiments: number;
  origin: "api" | "storage" | "bootstrap" | null;
  /** Since the API last said that the list holds; null if it never did. */
  ageSeconds: number | null;
  isStale: boolean;
  failures: number;
  lastError: string | null;
  /** Experiments of the last list that could not be read, with the reason. They keep what they had. */
  refused: Record<string, string>;
  droppedExposures: number;
}

export class Client {
  /** Throws a RangeError if `pollSeconds` is below 1, and an error if `bootstrap` is no list. */
  constructor(url: string, options?: Options);
  /** The variant that this session sees. Never throws and waits for nothing. */
  assign(experiment: string, sessionId: string, options?: { default?: string }): Assignment;
  status(): Status;
  /** Ask now. Never rejects. */
  refresh(): Promise<void>;
  /** Hand over the exposures that wait. */
  flush(): void;
  /** Stop asking; `assign` goes on with what is there. */
  close(): void;
}
