// node .ci/count-tests.mjs REPORT STATUS: prints "PASSED FAILED" of a vitest JSON report. A run that failed without a failed
// test (no report, a file that does not load, an unhandled error) counts as one failure: it must not look like none.
import { existsSync, readFileSync } from 'node:fs';

const [report, status] = process.argv.slice(2);
const { numPassedTests = 0, numFailedTests = 0 } = existsSync(report) ? JSON.parse(readFileSync(report, 'utf8')) : {};
const failed = numFailedTests === 0 && status !== '0' ? 1 : numFailedTests;
console.log(`${numPassedTests} ${failed}`);
