// The demo with sessions that no server holds alone, as a person sees it: sign in, fill a cart, lose the server, lose
// nothing.
//
//   KEPT=nodes node kept.mjs http://127.0.0.1:8080/ [folder for screenshots]
//   KEPT=cookie node kept.mjs http://127.0.0.1:8080/ [folder for screenshots]
//   KEPT=sqlite node kept.mjs http://127.0.0.1:8080/ [folder for screenshots]
//
// Prints one line per step and exits 0, or says what was expected and exits 1.

import assert from "node:assert/strict";
import { join } from "node:path";
import { with_page } from "./browser.mjs";

const [address, folder] = process.argv.slice(2);
const kept = process.env.KEPT;
// What the page says, by where sessions are.
const WORDS = {
  nodes: {
    where: "the servers, two copies each",
    held: ["0", "1", "1"],
    killed: "It held 1 session with a copy on another server. Nobody lost anything.",
    came: "Your session came along: a copy of it was on another server.",
    started: "with an empty memory, and gets its copies from the others.",
  },
  cookie: {
    where: "sealed cookies",
    held: ["none", "none", "none"],
    killed: "It held no sessions",
    came: "Your session came along: it is in this browser",
    started: "with the same keys, so it opens every session.",
  },
  sqlite: {
    where: "SQLite",
    held: ["none", "none", "none"],
    killed: "It held no sessions",
    came: "Your session came along: it is in SQLite, which every server reads.",
    started: "and finds every session in SQLite.",
  },
}[kept];

await with_page(async (page) => {
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  const text = (selector) => page.locator(selector).innerText();
  const picture = async (name) => {
    if (folder) await page.screenshot({ path: join(folder, `${kept}-${name}.png`), fullPage: true });
  };
  const open = async (visit) => {
    await page.goto(address);
    await page.getByText(`This is visit number ${visit} of your session.`).waitFor();
  };
  const all_there = async () => {
    assert.equal(await text("#user"), "Ada");
    assert.match(await text("#cart"), /Sencha[^]*× 2[^]*Lantern[^]*× 1/);
    assert.equal(await page.getByRole("alert").isVisible(), false, "nothing is lost");
  };

  await open(1);
  assert.equal(await text(".kept"), `Sessions are kept in ${WORDS.where}`);
  await page.getByLabel("Your name").fill("Ada");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("Signed in as Ada").waitFor();
  for (const thing of ["Sencha", "Sencha", "Lantern"]) {
    await page.getByRole("button", { name: `Add ${thing} to the cart` }).click();
  }
  await page.locator("#cart").getByText("× 2").waitFor();
  await page.locator("#cart").getByText("Lantern").waitFor();
  await all_there();
  // The page asks once a second.
  await page.waitForFunction((held) => {
    const shown = [...document.querySelectorAll(".server .sessions")].map((one) => one.textContent);
    return JSON.stringify(shown.sort()) === JSON.stringify(held);
  }, WORDS.held);
  await picture("signed-in");
  console.log("signed in, with a cart");

  const home = await text("#who-name");
  await page.getByRole("button", { name: `Stop server ${home}`, exact: true }).click();
  await page.getByText(WORDS.came).waitFor();
  await page.locator(`.server[data-name="${home}"]`).getByText("stopped").waitFor();
  await page.getByText(`Server ${home} was killed. ${WORDS.killed}`).waitFor();
  const next = await text("#who-name");
  assert.notEqual(next, home);
  await all_there();
  assert.match(await text("#visits"), /visit number 1 /);
  await picture("moved");
  console.log(`server ${home} was stopped, server ${next} answers, and all is there`);

  await open(2);
  await all_there();
  await page.getByRole("button", { name: `Start server ${home} again` }).click();
  await page.getByText(`Server ${home} was started again, ${WORDS.started}`).waitFor();
  await page.locator(`.server[data-name="${home}"] .state`).getByText("up", { exact: true }).waitFor();
  await page.getByRole("button", { name: `Stop server ${next}`, exact: true }).click();
  await page.getByText(WORDS.came).waitFor();
  await all_there();
  console.log(`server ${next} was stopped too, and all is there`);

  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `on a phone the page is ${overflow} pixels too wide`);
  await picture("phone");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture("phone-dark");
  await page.setViewportSize({ width: 1200, height: 1000 });
  await picture("dark");
  await page.emulateMedia({ colorScheme: "light" });

  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("Nothing in it yet.").waitFor();
  await open(1);
  assert.equal(await page.locator("#sign-in").isVisible(), true);
  assert.equal(await page.getByRole("alert").isVisible(), false, "who signs out has lost nothing");
  console.log("signed out");

  assert.deepEqual(errors, [], "errors on the page");
});
