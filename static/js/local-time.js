// Times on the reader's own clock. A cohort's are written in its zone, and the same moment stands beside in the reader's; all others are
// written in UTC and rewritten here, with UTC on hover. Where both clocks agree nothing changes.

const OWN = Intl.DateTimeFormat().resolvedOptions().timeZone;
const DAY = { day: "numeric", month: "short" };
const MINUTE = { hour: "2-digit", minute: "2-digit", hour12: false };

/** Minutes by which `zone` is ahead of UTC at `moment`. */
function offset(moment, zone) {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric",
  }).formatToParts(moment);
  const part = (type) => Number(parts.find((found) => found.type === type).value);
  return Math.round((Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute")) - moment) / 60000);
}

const differs = (moment, zone) => offset(moment, zone) !== offset(moment, OWN);

function addOwn(time) {
  const moment = new Date(time.dateTime);
  if (time.nextElementSibling?.className === "own-time" || !differs(moment, time.dataset.local)) return;
  const own = document.createElement("span");
  own.className = "own-time";
  own.textContent = ` (${moment.toLocaleString("en-GB", { ...DAY, ...MINUTE })} your time)`;
  time.after(own);
}

function rewrite(time) {
  const moment = new Date(time.dateTime);
  if (time.title || !differs(moment, "UTC")) return;
  const written = time.textContent;
  const second = time.dataset.utc === "second" ? { second: "2-digit" } : {};
  time.textContent = moment.toLocaleString("en-GB", { ...DAY, year: "numeric", ...MINUTE, ...second });
  time.title = written.endsWith("UTC") ? written : `${written} UTC`;
}

function localise() {
  for (const time of document.querySelectorAll("time[data-local]")) addOwn(time);
  for (const time of document.querySelectorAll("time[data-utc]")) rewrite(time);
  for (const zone of document.querySelectorAll("[data-utc-zone]")) zone.hidden = differs(new Date(), "UTC");
}

localise();
document.addEventListener("htmx:after:swap", localise);
