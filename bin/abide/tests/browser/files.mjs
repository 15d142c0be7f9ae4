// A page of files behind the balancer: the browser asks for many at once, over several connections.
//
//   node files.mjs http://127.0.0.1:8080/
//
// Opens index.html as three visitors in turn. Each gets everything from one server.

import assert from "node:assert/strict";
import { with_page } from "./browser.mjs";

const [address] = process.argv.slice(2);

await with_page(async (first) => {
  const servers = new Set();
  for (const visitor of [1, 2, 3]) {
    // A context of its own: no cookies and no cache of the others.
    const context = await first.context().browser().newContext();
    const page = await context.newPage();
    const answers = [];
    page.on("response", (response) => answers.push(response));
    await page.goto(`${address}index.html?visitor=${visitor}`, { waitUntil: "networkidle" });
    const loaded = await page.evaluate(() => [...document.images].filter((image) => image.naturalWidth > 0).length);
    assert.equal(loaded, 12, "images that were loaded");
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).color), "rgb(1, 2, 3)");
    for (const answer of answers) assert.equal(answer.status(), 200, answer.url());
    const verdicts = answers.map((answer) => answer.headers()["x-abide-verdict"]);
    const [server, reason] = verdicts[0].split(" ");
    assert.equal(reason, "new");
    assert.deepEqual(new Set(verdicts.slice(1)), new Set([`${server} sticky`]));
    servers.add(server);
    await context.close();
  }
  assert.equal(servers.size, 2, "visitors are spread");
  console.log("everything of a page came from one server");
});
