import { azureCsv } from './azure-csv.ts';
import { mooncakeJsonl } from './mooncake-jsonl.ts';
import type { TraceFormat } from './trace-format.ts';
import { twinferJsonl } from './twinfer-jsonl.ts';

/** Every format, in the order in which they are tried. */
export const TRACE_FORMATS: readonly TraceFormat[] = [azureCsv, mooncakeJsonl, twinferJsonl];
