// Which words of two texts differ. Pure.

const MOST_CELLS = 4_000_000; // of the table that is filled to compare what lies between the equal ends

const words = (text) => text.match(/\s+|[^\s]+/g) ?? [];

/** Both texts as [{text, differs}], pieces side by side joined. */
export function wordMarks(one, other) {
  const first = words(one);
  const second = words(other);
  let start = 0;
  while (start < first.length && start < second.length && first[start] === second[start]) start += 1;
  let end = 0;
  const most = Math.min(first.length, second.length) - start;
  while (end < most && first[first.length - 1 - end] === second[second.length - 1 - end]) end += 1;
  const common = inCommon(first.slice(start, first.length - end), second.slice(start, second.length - end));
  return [marked(first, start, end, common[0]), marked(second, start, end, common[1])];
}

/** For each word between the ends whether the longest common subsequence has it. */
function inCommon(first, second) {
  const kept = [new Uint8Array(first.length), new Uint8Array(second.length)];
  const width = second.length + 1;
  if ((first.length + 1) * width > MOST_CELLS) return kept; // two long and wholly different texts: all of it differs
  const table = new Uint16Array((first.length + 1) * width);
  for (let i = first.length - 1; i >= 0; i -= 1) {
    for (let j = second.length - 1; j >= 0; j -= 1) {
      const equal = first[i] === second[j];
      table[i * width + j] = equal ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  for (let i = 0, j = 0; i < first.length && j < second.length; ) {
    if (first[i] === second[j]) {
      kept[0][i] = kept[1][j] = 1;
      i += 1;
      j += 1;
    } else if (table[(i + 1) * width + j] >= table[i * width + j + 1]) i += 1;
    else j += 1;
  }
  return kept;
}

function marked(all, start, end, kept) {
  const pieces = [];
  all.forEach((text, number) => {
    const inside = number >= start && number < all.length - end;
    const differs = inside && !kept[number - start];
    if (pieces.at(-1)?.differs === differs) pieces.at(-1).text += text;
    else pieces.push({ text, differs });
  });
  return pieces;
}
