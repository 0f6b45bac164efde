import type { RunSpec } from './run-spec.ts';

/** Limits of one key; null = none. */
export interface KeyLimitsConfig {
  readonly requestsPerMinute: number | null;
  /** Prompt and output tokens together, counted when a request ends. */
  readonly tokensPerMinute: number | null;
  /** Requests at the same time. */
  readonly concurrencyMax: number | null;
}

/** A key as the server knows it: never the key itself. */
export interface ApiKeyConfig {
  /** In logs and limits; unique. */
  readonly name: string;
  /** SHA-256 of the key's UTF-8 bytes, 64 lower-case hexadecimal digits. */
  readonly sha256Hex: string;
  readonly admin: boolean;
  /** What differs from the limits of all keys. */
  readonly limits: Partial<KeyLimitsConfig>;
}

/** When a request is refused, and how long clients are asked to wait. See `AdmissionBook`. */
export interface AdmissionConfig {
  /** Sequences that may wait for the engine. */
  readonly waitingMax: number;
  /** Nobody is admitted whose predicted wait is longer, ms. */
  readonly queueWaitMaxMs: number;
  /** No slot is booked further ahead, ms. */
  readonly retryAfterMaxMs: number;
  /** Slots booked at the same time. */
  readonly bookingsMax: number;
  /** Until completions have been seen: how long a request takes on a full engine, ms, and how many run at a time. */
  readonly predictedRequestMs: number;
  readonly concurrency: number;
}

/** Sizes of one request body's fields. */
export interface RequestLimitsConfig {
  readonly logprobsMax: number;
  readonly nMax: number;
  readonly promptsMax: number;
  readonly sequencesMax: number;
  readonly stopMax: number;
  readonly stopCharactersMax: number;
  readonly stopTokenIdsMax: number;
  readonly logitBiasMax: number;
  readonly messagesMax: number;
  readonly keysMax: number;
  readonly numbersMax: number;
  readonly answerBytesMax: number;
  readonly promptLogprobsMax: number;
}

export interface HttpConfig {
  readonly bodyBytesMax: number;
  readonly bodyDepthMax: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
  /** null = none. */
  readonly generationTimeoutMs: number | null;
  readonly streamBufferBytesMax: number;
  readonly connectionsMax: number;
  /** null = none. */
  readonly connectionsPerAddressMax: number | null;
  /** Requests of one connection that may wait for the one before them. */
  readonly pipelinedMax: number;
}

/** How the engine's thread is watched, ms. */
export interface WatchdogConfig {
  /** Work waits and no step has ended for so long: /health says 503. */
  readonly stallMs: number;
  /** ... for so long: the thread is started again. */
  readonly hangMs: number;
  /** Pause before the first restart, doubled with each further one up to `restartMaxMs`. */
  readonly restartMs: number;
  readonly restartMaxMs: number;
  /** A step that takes so many times the median of the last ones is kept. */
  readonly slowStepFactor: number;
}

/** A recording of the metrics while the server runs. */
export interface RecordConfig {
  readonly file: string;
  readonly intervalSeconds: number;
  /** A larger file is moved to `file.1`. */
  readonly bytesMax: number;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** How traces leave the server: which are kept, what they may say, where they go. */
export interface TracingConfig {
  /** Base address of an OTLP collector, or null: what the OTEL_EXPORTER_OTLP_* variables say. */
  readonly endpoint: string | null;
  readonly protocol: OtlpProtocol;
  /** Share of the traces that nothing else keeps, 0 .. 1. */
  readonly sampleRatio: number;
  /** Traces with a later first token are kept, ms. */
  readonly slowTtftMs: number;
  /** Spans carry a hash of the request's `user`. */
  readonly userId: boolean;
  /** Spans carry the ids of output tokens. */
  readonly tokenIds: boolean;
  /** Spans that may wait for the collector. */
  readonly queueSpansMax: number;
}

export type OtlpProtocol = 'http/protobuf' | 'http/json' | 'grpc';

/** Everything that decides how a server runs, as plain frozen values: made by `resolveServe`. */
export interface ServeConfig {
  /** Model, device, engine, faults and seed of the simulated backend; its workload is not used. */
  readonly run: RunSpec;
  readonly backend: 'simulated';
  /** Wall time per simulated time: 1 = real time, 0.1 = ten times faster, 0 = as fast as the gateway reads. */
  readonly timeScale: number;
  /** Folder with tokenizer.json; null = the built-in byte tokenizer. */
  readonly modelFolder: string | null;
  /** The first is the one that responses name. */
  readonly modelNames: readonly string[];
  readonly host: string;
  readonly port: number;
  /** Empty = everybody may ask, which only a loopback address or `allow_open` permits. */
  readonly keys: readonly ApiKeyConfig[];
  readonly limits: {
    readonly waitingMax: number;
    readonly drainTimeoutMs: number;
    /** Texts that may wait for a tokenizer thread. */
    readonly tokenizerQueueMax: number;
    readonly perKey: KeyLimitsConfig;
    /** While several keys have work, each gets the same part of the batch, and at most half of batch and queue. */
    readonly fairKeys: boolean;
  };
  readonly admission: AdmissionConfig;
  readonly requestLimits: RequestLimitsConfig;
  readonly http: HttpConfig;
  readonly watchdog: WatchdogConfig;
  readonly tokenizerThreads: number;
  /** Origins that browsers may ask from; empty = CORS is off. */
  readonly corsOrigins: readonly string[];
  /** Names in `Host` that a server on a loopback address answers to besides its own, in lower case. */
  readonly allowedHosts: readonly string[];
  readonly logLevel: LogLevel;
  /** null = standard error. */
  readonly logFile: string | null;
  /** null = nothing is recorded. */
  readonly record: RecordConfig | null;
  /** /metrics also has vLLM's names. */
  readonly vllmAliases: boolean;
  /** Streams may be asked for the times of steps, for measurements. */
  readonly stepTimes: boolean;
  /** null = no traces. */
  readonly tracing: TracingConfig | null;
  /** What happened to each KV block last: events kept per block (0 = off), and whether with call stacks. */
  readonly allocationLog: { readonly eventsPerBlock: number; readonly stacks: boolean };
}
