// Uses the documentation page as its readers do: authorizes with each kind of credentials, calls an operation with it,
// reads the answer.
//
//     NODE_PATH=… node docs.mjs http://127.0.0.1:8080 <access token> <API key> <device's token> <screenshot.png>
//
// Every request of the page is watched: nothing may come from anywhere else.
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(`${process.env.NODE_PATH}/`);
const puppeteer = require("puppeteer-core");
const [url, user, apiKey, device, screenshot] = process.argv.slice(2);
const patience = { timeout: 30_000 };

const browser = await puppeteer.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  // The tests may run as root, where Chromium's own sandbox cannot.
  args: ["--no-sandbox", "--disable-gpu"],
});
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 1400, height: 1000 });
  const elsewhere = [];
  page.on("request", (request) => {
    const to = request.url();
    if (!to.startsWith(url) && !to.startsWith("data:") && !to.startsWith("blob:")) elsewhere.push(to);
  });
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`${url}/docs`, { waitUntil: "networkidle0", ...patience });

  const click = async (selector) => (await page.waitForSelector(selector, patience)).click();
  const labels = ".auth-container h4 code";

  // Opens Authorize, does something with the form of one kind of credentials, and closes it.
  const inForm = async (kind, act) => {
    await click("button.authorize");
    await page.waitForSelector(labels, patience);
    const kinds = await page.$$eval(labels, (names) => names.map((name) => name.innerText));
    if (kinds.join() !== "user,api_key,device") throw new Error(`the page asks for ${kinds}`);
    const place = kinds.indexOf(kind);
    const form = (await page.$$(".auth-container"))[place];
    await act(form, place);
    await (await form.$("button.btn-done")).click();
    await page.waitForFunction(() => !document.querySelector(".auth-container"), patience);
  };
  // Waits until a form has a field, or has none any more.
  const fields = (place, expected) =>
    page.waitForFunction(
      (place, expected) => document.querySelectorAll(".auth-container")[place].querySelectorAll("input").length === expected,
      patience,
      place,
      expected,
    );
  const authorize = (kind, token) =>
    inForm(kind, async (form, place) => {
      await (await form.$("input")).type(token);
      await (await form.$("button.authorize")).click();
      await fields(place, 0);
    });
  const logout = (kind) =>
    inForm(kind, async (form, place) => {
      await (await form.$(".auth-btn-wrapper button:not(.btn-done)")).click();
      await fields(place, 1);
    });

  const call = async (id, field) => {
    const operation = `[id$="-${id}"]`;
    await click(`${operation} .opblock-summary-control`);
    await click(`${operation} .try-out__btn`);
    await click(`${operation} button.execute`);
    await page.waitForSelector(`${operation} .live-responses-table .response-col_status`, patience);
    const answer = await page.$eval(`${operation} .live-responses-table`, (table) => table.innerText);
    console.log(answer);
    if (!answer.includes("200") || !answer.includes(field)) throw new Error(`${id} was not answered with ${field}`);
  };

  // One after the other, so that none is answered for the credentials of another.
  for (const [kind, token, id, field] of [
    ["user", user, "get_current_user", "username"],
    ["api_key", apiKey, "list_devices", "public_key"],
    ["device", device, "heartbeat", "next_poll_s"],
  ]) {
    await authorize(kind, token);
    await call(id, field);
    await logout(kind);
    console.log(`docs: used as ${kind}`);
  }
  await page.screenshot({ path: screenshot });
  if (elsewhere.length > 0) throw new Error(`the page asks elsewhere: ${elsewhere}`);
  if (errors.length > 0) throw new Error(`the page fails: ${errors}`);
} finally {
  await browser.close();
}
