// Uses the documentation page as a person does: authorizes with a token, calls an operation, reads the answer.
//
//     NODE_PATH=… node docs.mjs http://127.0.0.1:8080 <access token> <screenshot.png>
//
// Every request of the page is watched: nothing may come from anywhere else.
import { createRequire } from "node:module";
import process from "node:process";

const require = createRequire(`${process.env.NODE_PATH}/`);
const puppeteer = require("puppeteer-core");
const [url, token, screenshot] = process.argv.slice(2);
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

  await (await page.waitForSelector("button.authorize", patience)).click();
  // One form for each kind of credentials; the first is a person's.
  await page.waitForSelector(".auth-container input", patience);
  const kinds = await page.$$eval(".auth-container h4 code", (names) => names.map((name) => name.innerText));
  if (kinds.join() !== "user,api_key,device") throw new Error(`the page asks for ${kinds}`);
  await (await page.$(".auth-container input")).type(token);
  await (await page.$(".auth-btn-wrapper button.authorize")).click();
  await (await page.waitForSelector(".auth-btn-wrapper button.btn-done", patience)).click();

  const operation = await page.waitForSelector("[id$=get_current_user] .opblock-summary-control", patience);
  await operation.click();
  await (await page.waitForSelector("[id$=get_current_user] .try-out__btn", patience)).click();
  await (await page.waitForSelector("[id$=get_current_user] button.execute", patience)).click();
  await page.waitForSelector("[id$=get_current_user] .live-responses-table .response-col_status", patience);
  const answer = await page.$eval("[id$=get_current_user] .live-responses-table", (table) => table.innerText);
  await page.screenshot({ path: screenshot });
  console.log(answer);
  if (elsewhere.length > 0) throw new Error(`the page asks elsewhere: ${elsewhere}`);
  if (errors.length > 0) throw new Error(`the page fails: ${errors}`);
  if (!answer.includes("200") || !answer.includes("username")) throw new Error("the call was not answered with a user");
  console.log("docs: used");
} finally {
  await browser.close();
}
