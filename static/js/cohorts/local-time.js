// Times are written in the cohort's time zone. Where the reader's own differs, the same moment stands beside in theirs.

const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Minutes by which `zone` is ahead of UTC at `moment`. */
function offset(moment, zone) {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
  }).formatToParts(moment);
  const part = (type) => Number(parts.find((found) => found.type === type).value);
  return Math.round((Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute")) - moment) / 60000);
}

for (const time of document.querySelectorAll("time[data-local]")) {
  const moment = new Date(time.dateTime);
  if (offset(moment, time.dataset.local) === offset(moment, OWN)) continue;
  const own = document.createElement("span");
  own.className = "own-time";
  own.textContent = ` (${moment.toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false })} your time)`;
  time.after(own);
}
