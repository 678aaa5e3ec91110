// Open pages in Chromium and print, as JSON, what is wrong with each.
//
//   node browse.mjs FOLDER CHROMIUM < asked.json
//
// FOLDER holds node_modules with axe-core and playwright-core. Asked is a list of
// {url, width, scheme, media}: `media` is "screen" or "print", the width that of the window or of
// the paper between its margins.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [folder, executablePath] = process.argv.slice(2);
const require = createRequire(`${folder}/`);
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core"), "utf8");

const asked = JSON.parse(readFileSync(0, "utf8"));
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const found = [];
for (const { url, width, scheme, media } of asked) {
  const context = await browser.newContext({
    viewport: { width, height: 900 },
    colorScheme: scheme,
  });
  const page = await context.newPage();
  const said = [];
  page.on("console", (message) => {
    const own = message.location().url === url && message.text().startsWith("Failed to load");
    if (!own) said.push(`${message.text()} ${message.location().url}`); // own: a page of status 404
  });
  page.on("pageerror", (error) => said.push(error.message));
  await page.goto(url);
  const refused = [...said]; // what the page says, and not what axe makes it say
  await page.emulateMedia({ media });
  await page.evaluate(axe); // no policy of the page forbids what the debugger evaluates
  found.push({ ...(await page.evaluate(judge)), refused });
  await context.close();
}
await browser.close();
console.log(JSON.stringify(found));

async function judge() {
  const { violations } = await axe.run(document, { resultTypes: ["violations"] });
  const width = document.documentElement.clientWidth;
  const seen = [...document.querySelectorAll("td, th, svg text, svg line, svg circle, dd, p")];
  const cut = seen.filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width + box.height > 0 && (box.left < -0.5 || box.right > width + 0.5);
  });
  return {
    scrolls: document.documentElement.scrollWidth > width,
    wide: [...document.querySelectorAll(".wide")].some((one) => one.scrollWidth > one.clientWidth),
    violations: violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id}: ${target.join(" ")} ${failureSummary}`),
    ),
    cut: cut.map((one) => `${one.tagName} ${one.textContent.trim()}`),
    rows: document.querySelectorAll("tbody tr").length,
    headings: document.querySelectorAll("h1").length,
  };
}
