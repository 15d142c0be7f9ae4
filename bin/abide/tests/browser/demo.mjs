// The demo as a person sees it: sign in, fill a cart, reload twenty times, lose the server.
//
//   node demo.mjs http://127.0.0.1:8080/ [folder for screenshots]
//
// Prints one line per step and exits 0, or says what was expected and exits 1.

import assert from "node:assert/strict";
import { join } from "node:path";
import { with_page } from "./browser.mjs";

const [address, folder] = process.argv.slice(2);

await with_page(async (page) => {
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  const outside = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(address) && !request.url().startsWith("data:")) outside.push(request.url());
  });

  const text = (selector) => page.locator(selector).innerText();
  const picture = async (name) => {
    if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  };
  // The page has asked its first question when the visit is counted.
  const open = async (visit) => {
    await page.goto(address);
    await page.getByText(`This is visit number ${visit} of your session.`).waitFor();
  };

  await open(1);
  await page.getByLabel("Your name").fill("Ada");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("Signed in as Ada").waitFor();
  for (const thing of ["Teapot", "Darjeeling", "Darjeeling"]) {
    await page.getByRole("button", { name: `Add ${thing} to the cart` }).click();
  }
  await page.locator("#cart").getByText("× 2").waitFor();
  assert.match(await text("#cart-total"), /51\.80/);
  await picture("signed-in");
  console.log("signed in, with a cart");

  const home = await text("#who-name");
  for (let visit = 2; visit <= 21; visit++) {
    await open(visit);
    assert.equal(await text("#who-name"), home, `visit ${visit} was answered elsewhere`);
    assert.equal(await text("#user"), "Ada", `visit ${visit} was not signed in`);
    assert.match(await text("#cart"), /Darjeeling[^]*× 2[^]*Teapot[^]*× 1/);
  }
  assert.equal(await text("#why-word"), "sticky");
  console.log(`twenty reloads, all answered by server ${home}`);

  await page.getByRole("button", { name: "Ask 20 times" }).click();
  await page.getByText(/2\d answers from 1 server$/).waitFor();

  await page.getByRole("button", { name: `Stop server ${home}`, exact: true }).click();
  const lost = page.getByRole("alert");
  await lost.waitFor();
  const message = `Your session lived only in the memory of server ${home}. ${home} is gone, and your cart with it. ` +
    "That is the price of sticky sessions.";
  assert.equal(await text("#lost-text"), message);
  assert.equal(await text("#lost-list"), "What you had: signed in as Ada, 3 things in the cart, 21 visits counted.");
  await page.locator(`.server[data-name="${home}"]`).getByText("stopped").waitFor();
  await page.getByText(`Server ${home} was killed. It held 1 session in its memory, and nowhere else: that one is lost.`).waitFor();
  const next = await text("#who-name");
  assert.notEqual(next, home);
  await page.getByText("Nothing in it yet.").waitFor();
  assert.equal(await page.locator("#sign-in").isVisible(), true);
  await picture("lost");
  console.log(`server ${home} was stopped, server ${next} answers, and the page says what is lost`);

  await page.getByRole("button", { name: `Start server ${home} again` }).click();
  await page.locator(`.server[data-name="${home}"]`).getByText("up").waitFor();
  await open(1);
  assert.equal(await text("#who-name"), next, "a visitor who moved does not move back");
  await picture("started-again");
  console.log(`server ${home} was started again, and the visitor stays with server ${next}`);

  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(overflow <= 0, `on a phone the page is ${overflow} pixels too wide`);
  await picture("phone");
  await page.emulateMedia({ colorScheme: "dark" });
  await picture("phone-dark");
  await page.setViewportSize({ width: 1200, height: 1000 });
  await picture("dark");

  assert.deepEqual(errors, [], "errors on the page");
  assert.deepEqual(outside, [], "requests to elsewhere");
});
