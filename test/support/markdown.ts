/** Text outside fenced blocks and inline code. */
function prose(markdown: string): string {
  return markdown.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, (code) => code.replace(/[[\]()]/g, ' '));
}

/** Targets of inline links and images, in order. */
export function linksOf(markdown: string): string[] {
  return [...prose(markdown).matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)].map((match) => match[1]!);
}

/** Anchors that GitHub gives to headings: lower case, spaces to hyphens, punctuation dropped. */
export function headingAnchors(markdown: string): string[] {
  return [...markdown.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#{1,6} (.+)$/gm)].map((match) =>
    match[1]!
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  );
}

/** Lines of the fenced blocks whose info string is `sh runnable`: quick `npx twinfer ...` commands without shell syntax. */
export function runnableCommands(markdown: string): string[] {
  const commands = [...markdown.matchAll(/^```sh runnable\n([\s\S]*?)^```/gm)]
    .flatMap((match) => match[1]!.split('\n'))
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  const odd = commands.find((line) => !/^npx twinfer( [\w./:=-]+)*$/.test(line));
  if (odd !== undefined) throw new Error(`runnable block: "${odd}" is not a plain "npx twinfer ..." command`);
  return commands;
}

/** Tests that a table names as `file`: name of the test. Several are separated by semicolons. */
export function testReferences(markdown: string): { file: string; name: string }[] {
  return [...markdown.matchAll(/`(test\/[\w./-]+\.test\.ts)`: ([^|;\n]+)/g)].map((match) => ({
    file: match[1]!,
    name: match[2]!.trim(),
  }));
}
