// A plan whose sum stands still: what one phase gains the others give. Pure; seconds throughout.

export const SHORTEST_S = 60;
export const LONGEST_S = 3600;

/**
 * `budgets` with number `at` set as near to `wanted` as can be. What it gains is taken from the phases after it, nearest first, then
 * from those before it; what it loses goes to the next one (of the last, to the one before).
 */
export function moved(budgets, at, wanted) {
  const plan = [...budgets];
  const givers = [...plan.keys()].slice(at + 1).concat([...plan.keys()].slice(0, at).reverse());
  let change = Math.min(Math.max(wanted, SHORTEST_S), LONGEST_S) - plan[at];
  for (const other of givers) {
    const part = Math.min(Math.max(plan[other] - change, SHORTEST_S), LONGEST_S) - plan[other];
    plan[other] += part;
    plan[at] -= part;
    change += part;
    if (change === 0) break;
  }
  return plan;
}
