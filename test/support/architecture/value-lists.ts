import ts from 'typescript';
import {
  FINISH_REASONS,
  HOST_PHASES,
  PREEMPTION_REASONS,
  REJECTION_REASONS,
  SEQUENCE_STATES,
  STEP_FAILURES,
  WAIT_REASONS,
} from '../../../src/core/index.ts';

/** Lists of values that exist once, in the core: a copy elsewhere would miss the next value. */
export const VALUE_LISTS: Readonly<Record<string, readonly string[]>> = {
  FINISH_REASONS,
  HOST_PHASES,
  PREEMPTION_REASONS,
  REJECTION_REASONS,
  SEQUENCE_STATES,
  STEP_FAILURES,
  WAIT_REASONS,
};

/** A literal with fewer of a list's values is a selection, such as the reasons that count as success. */
const SHARED_MIN = 3;

/** Array literals and unions of string literals in `text` that repeat a list: the whole of it, or at least three of its values and no others. */
export function copiesOfLists(path: string, text: string): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.TS);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    const values = literalsOf(node);
    for (const [name, list] of Object.entries(VALUE_LISTS)) {
      const shared = list.filter((value) => values.includes(value)).length;
      if (shared === list.length || (shared >= SHARED_MIN && shared === values.length)) {
        const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
        found.push(`${path}:${line}: repeats ${shared} values of ${name}: derive them from the core's list`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The string literals of an array or a union; a spread or another type in it adds nothing. */
function literalsOf(node: ts.Node): string[] {
  if (ts.isArrayLiteralExpression(node)) return node.elements.filter(ts.isStringLiteral).map((element) => element.text);
  if (!ts.isUnionTypeNode(node)) return [];
  return node.types.flatMap((type) =>
    ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal) ? [type.literal.text] : [],
  );
}
