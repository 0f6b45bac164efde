import type { HolderName } from '../audit/block-audit.ts';
import type { BlockHolder, Diagnosis, WaitingHead } from './diagnose.ts';
import { seconds } from './verdict.ts';

/** A diagnosis as lines for people; `nameOf` gives the names by which clients know requests. */
export function diagnosisText(
  diagnosis: Diagnosis,
  nameOf: (request: number) => string = (request) => `request ${request}`,
): string {
  const name = ({ request, index }: HolderName) => (index === 0 ? nameOf(request) : `${nameOf(request)}.${index}`);
  const { blocks, inFlight } = diagnosis;
  const lines = [
    diagnosis.verdict,
    `${diagnosis.running} running, ${diagnosis.waiting} waiting, ${diagnosis.swapped} swapped, ${diagnosis.held} held`,
    `blocks: ${blocks.used} used, ${blocks.available} available (${blocks.cached} cached), ${blocks.fenced} fenced of ${blocks.total}; ` +
      `${blocks.orphaned} orphaned, ${blocks.mismatched} with wrong references`,
    diagnosis.lastStepAgeNs === null
      ? 'no step has ended yet'
      : `step ${diagnosis.stepsDone} ended ${seconds(diagnosis.lastStepAgeNs)} ago`,
    ...inFlight.map(
      (step) =>
        `in flight: step ${step.stepId} for ${seconds(step.ageNs)}, ${step.rows} rows, ${step.prefillTokens} + ${step.decodeTokens} tokens`,
    ),
    ...diagnosis.heads.map((head) => `${head.queue}: ${name(head)} ${headText(head)}`),
    ...diagnosis.topHolders.map((holder) => `holds: ${name(holder)} ${holderText(holder)}`),
    ...diagnosis.findings.map((finding) => {
      const range =
        finding.first === finding.last ? `block ${finding.first}` : `blocks ${finding.first}-${finding.last}`;
      const last = finding.lastHolder === null ? '' : `, last held by ${name(finding.lastHolder)}`;
      return `${finding.kind}: ${range}, ${finding.references} references, ${finding.owners} owners${last}`;
    }),
  ];
  return lines.join('\n');
}

function headText(head: WaitingHead): string {
  const what = head.waitsFor === null ? '' : `, waits for ${head.waitsFor}`;
  return `since ${seconds(head.waitingNs)}${what}; ${head.promptTokens} prompt tokens, needs ${head.blocksNeeded} blocks`;
}

function holderText(holder: BlockHolder): string {
  const last = holder.lastTokenAgeNs === null ? 'no token yet' : `last token ${seconds(holder.lastTokenAgeNs)} ago`;
  return `${holder.blocks} blocks, here for ${seconds(holder.ageNs)}, ${holder.outputTokens} of ${holder.outputTokensMax} tokens, ${last}`;
}
