"use strict";
// The page asks its questions through the balancer, as any visitor would, and shows what came back:
// the session, and which server answered and why (the field X-Abide-Verdict of each answer).

const REASONS = "/*REASONS*/";
const GOODS = [
  { id: "darjeeling", name: "Darjeeling", cents: 890, tint: "#b45309", draw: "M4 9h12v5a5 5 0 0 1-5 5H9a5 5 0 0 1-5-5V9Zm12 1h2a2.5 2.5 0 0 1 0 5h-2M8 3v3m4-3v3" },
  { id: "sencha", name: "Sencha", cents: 1050, tint: "#4d7c0f", draw: "M5 19C5 9 11 4 20 4c0 9-5 15-15 15Zm0 0 8-8" },
  { id: "teapot", name: "Teapot", cents: 3400, tint: "#0e7490", draw: "M6 10h11v3a5.5 5.5 0 0 1-11 0v-3Zm11 1 4-2M6 11H4a2 2 0 0 0 0 4h2m2-5 1-3h5l1 3m-3.5-3V5M8 19h7" },
  { id: "honey", name: "Honey", cents: 720, tint: "#ca8a04", draw: "M6 8h12v10a2 2 0 0 1-2 2H8a2 2 0 0 1-2-2V8Zm-1-4h14v4H5V4Zm4 8h6v4H9v-4Z" },
  { id: "biscuits", name: "Biscuits", cents: 390, tint: "#9f5a2a", draw: "M12 3a9 9 0 1 0 9 9 4 4 0 0 1-4-4 4 4 0 0 1-5-5Zm-3 7v.01M9 15v.01M14 16v.01M13 12v.01" },
  { id: "lantern", name: "Lantern", cents: 2150, tint: "#be185d", draw: "M8 7h8l1 3v8H7v-8l1-3Zm1-3h6v3H9V4Zm3-2v2M6 21h12m-6-4c-1.5-1-2-2-2-3l2-2 2 2c0 1-.5 2-2 3Z" },
];
// Where sessions are, in words; why one is still there on another server, and why one is lost.
const in_store = (where, also = "") => ({
  where,
  came: `Your session came along: it is in ${where}, which every server reads.`,
  lost: (server, what) =>
    `Your session is no longer in ${where}, and ${what} with it: it has expired or was ended${also}.`,
});
const KEPT = {
  memory: {
    where: "memory",
    lost: (server, what) =>
      `Your session lived only in the memory of server ${server}. ${server} is gone, and ${what} with it. That is the price of sticky sessions.`,
  },
  cookie: {
    where: "sealed cookies",
    came: "Your session came along: it is in this browser, and every server has the key that opens it.",
    lost: (server, what) =>
      `Your session was in a cookie that has expired, or that no server here can open, and ${what} with it. Each start of the demo draws new keys.`,
  },
  nodes: {
    where: "the servers, two copies each",
    came: "Your session came along: a copy of it was on another server.",
    lost: (server, what) =>
      `Your session was on ${server} and on one other server, and both were gone at once: ${what} with it. So it goes if a second server stops before the first has come back.`,
  },
  sqlite: in_store("SQLite", ", or its file was removed"),
  postgres: in_store("PostgreSQL"),
  mysql: in_store("MySQL or MariaDB"),
  redis: in_store("Redis", ", or Redis lost it in a restart or a failover"),
  memcached: in_store("Memcached", ", or Memcached forgot it: it does so when it restarts, and when it is full"),
};
const ROW_MAX = 30;
const POLL_MS = 1000;

const $ = (id) => document.getElementById(id);
const money = (cents) => (cents / 100).toLocaleString("en", { style: "currency", currency: "EUR" });
const plural = (n, one, many) => `${n} ${n === 1 ? one : many}`;
let names = [];          // of the servers, in their order: gives each its colour
let answeredBy = null;   // the server of the last answer
let before = recall();   // what this browser had when it last looked
let asking = false;

function element(tag, classes, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  return made;
}

function tint(name) {
  const known = names.indexOf(name);
  const place = known >= 0 ? known : (name.charCodeAt(0) - 97);
  return `var(--s${((place % 9) + 9) % 9})`;
}

// ---- what this browser remembers of its session, to notice when it is lost

function recall() {
  try { return JSON.parse(localStorage.getItem("abide-demo")); } catch { return null; }
}

function remember(state) {
  before = state;
  try {
    if (state) localStorage.setItem("abide-demo", JSON.stringify(state));
    else localStorage.removeItem("abide-demo");
  } catch { /* private windows may refuse: then nothing is compared */ }
}

const count = (cart) => Object.values(cart).reduce((sum, n) => sum + n, 0);

function notice_loss(state) {
  if (!before || (before.user === null && count(before.cart) === 0)) return;
  const kept = state.user === before.user && count(state.cart) > 0 === count(before.cart) > 0;
  const fresh = state.user === null && count(state.cart) === 0 && state.visits <= 1;
  if (kept || !fresh) return;
  const name = before.server;
  const things = count(before.cart);
  const what = things ? "your cart" : "your sign-in";
  $("lost-text").textContent = KEPT[state.kept].lost(name, what);
  const list = [];
  if (before.user !== null) list.push(`signed in as ${before.user}`);
  if (things) list.push(plural(things, "thing", "things") + " in the cart");
  if (before.visits) list.push(plural(before.visits, "visit", "visits") + " counted");
  $("lost-list").textContent = `What you had: ${list.join(", ")}.`;
  $("lost").hidden = false;
}

// ---- asking

async function ask(method, path) {
  let answer;
  try {
    answer = await fetch(path, { method, headers: { "X-Abide-Demo": "1" }, cache: "no-store" });
  } catch {
    trouble("The balancer does not answer. Is the demo still running?");
    return null;
  }
  const verdict = (answer.headers.get("X-Abide-Verdict") || "").split(" ");
  const [server, reason] = verdict.length > 1 ? verdict : [null, verdict[0]];
  const quiet = path.startsWith("/demo/") && server === answeredBy;
  if (server && !quiet) show_answer(server, reason);
  if (answer.status === 404 && path === "/demo/state") {
    inDemo = false;
    document.querySelectorAll(".demo-only").forEach((part) => { part.hidden = true; });
    return null;
  }
  if (!answer.ok) {
    const none = answer.status >= 502 && !server;
    trouble(none ? "No server can answer. Start one of them again: press its number in the terminal of the demo."
      : answer.status === 503 ? `Server ${server || ""} can not reach the store of the sessions. Nothing is lost; it goes on when the store is back.`
      : `That did not work: the answer was ${answer.status}.`);
    return null;
  }
  trouble("");
  return answer.json();
}

async function shop(method, path) {
  const state = await ask(method, path);
  if (!state) return;
  show_state(state);
  if (method === "POST") await poll();
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = text === "";
}

// ---- showing

function show_answer(server, reason) {
  const moved = reason.startsWith("moved");
  const from = answeredBy === null || answeredBy === server ? "" : ` from server ${answeredBy}`;
  answeredBy = server;
  $("who-badge").textContent = server.slice(0, 2);
  $("who-badge").style.setProperty("--tint", tint(server));
  if (moved) {
    $("moved").textContent = `You were moved${from} (${reason}). ${REASONS[reason] || ""}`;
    $("moved").hidden = false;
  }
  $("who-name").textContent = server;
  $("why-word").textContent = reason;
  $("why-word").className = "word" + (moved ? " moved" : reason === "sticky" ? " sticky" : "");
  $("why-sentence").textContent = REASONS[reason] || "";
  const item = element("li", moved ? "moved" : "", server.slice(0, 2));
  item.style.setProperty("--tint", tint(server));
  item.title = `server ${server}: ${reason}`;
  const row = $("row");
  row.append(item);
  while (row.children.length > ROW_MAX) row.firstChild.remove();
  const seen = new Set([...row.children].map((li) => li.textContent));
  $("row-sum").textContent = `${plural(row.children.length, "answer", "answers")} from ${plural(seen.size, "server", "servers")}`;
  for (const card of $("servers").children) mark_yours(card);
}

function show_state(state) {
  notice_loss(state);
  $("kept").textContent = KEPT[state.kept].where;
  $("came-along").textContent = KEPT[state.kept].came || "";
  $("came-along").hidden = !KEPT[state.kept].came || $("moved").hidden || (state.user === null && count(state.cart) === 0);
  $("sign-in").hidden = state.user !== null;
  $("signed-in").hidden = state.user === null;
  $("user").textContent = state.user || "";
  $("face").textContent = (state.user || "").slice(0, 1).toUpperCase();
  $("visits").textContent = state.visits ? `This is visit number ${state.visits} of your session.` : "You have no session yet.";
  const lines = GOODS.filter((good) => state.cart[good.id]).map((good) => cart_line(good, state.cart[good.id]));
  $("cart").replaceChildren(...lines);
  $("cart-empty").hidden = lines.length > 0;
  $("cart-total").hidden = lines.length === 0;
  const cents = GOODS.reduce((sum, good) => sum + good.cents * (state.cart[good.id] || 0), 0);
  $("cart-total").querySelector("b").textContent = money(cents);
  if (answeredBy === null) show_alone(state.server);
  remember({ user: state.user, cart: state.cart, visits: state.visits, server: state.server });
}

// Nobody said who answered, so no balancer of ours that says so stands in front: the shop knows itself.
function show_alone(server) {
  $("who-badge").textContent = server;
  $("who-name").textContent = server;
  $("why-word").textContent = "no verdict";
  $("why-sentence").textContent = "No balancer told this page why this server answers. Start one with --verdict-header.";
}

function cart_line(good, number) {
  const line = element("li");
  const less = element("button", "plain", "−");
  less.type = "button";
  less.setAttribute("aria-label", `One ${good.name} less`);
  less.onclick = () => shop("POST", `/shop/cart?item=${good.id}&add=-1`);
  line.append(element("span", "", good.name), element("span", "count", `× ${number}`), element("span", "price", money(good.cents * number)), less);
  return line;
}

function server_card(server) {
  const card = element("li", "server");
  card.dataset.name = server.name;
  card.dataset.address = server.address;
  card.style.setProperty("--tint", tint(server.name));
  const head = element("header");
  const title = element("div");
  title.append(element("div", "", `Server ${server.name}`), element("div", "here", ""));
  head.append(element("span", "badge", server.name.slice(0, 2)), title, element("span", "state", ""));
  const list = element("dl");
  list.append(element("dt", "", "sessions held"), element("dd", "sessions"), element("dt", "", "requests answered"), element("dd", "requests"));
  const button = element("button", "stop");
  button.type = "button";
  button.onclick = () => change(card, button);
  card.append(head, list, button);
  return card;
}

function mark_yours(card) {
  const yours = card.dataset.name === answeredBy && !card.classList.contains("stopped");
  card.classList.toggle("yours", yours);
  card.querySelector(".here").textContent = yours ? "answers you" : card.dataset.address;
}

async function change(card, button) {
  const stop = button.classList.contains("stop");
  button.disabled = true;
  await ask("POST", `/demo/${stop ? "stop" : "start"}?server=${encodeURIComponent(card.dataset.name)}`);
  await poll();
}

function show_servers(demo) {
  names = demo.servers.map((server) => server.name);
  const strip = $("servers");
  if (strip.children.length !== names.length) strip.replaceChildren(...demo.servers.map(server_card));
  demo.servers.forEach((server, i) => {
    const card = strip.children[i];
    const up = server.state !== "stopped" && server.state !== "stopping";
    card.classList.toggle("stopped", server.state === "stopped");
    card.querySelector(".state").textContent = server.state;
    card.querySelector(".sessions").textContent = up ? server.sessions ?? "none" : "–";
    card.querySelector(".requests").textContent = up ? server.requests : "–";
    const button = card.querySelector("button");
    button.className = server.state === "stopped" ? "start" : "stop";
    button.disabled = server.state === "stopping";
    const stopped = server.state === "stopped";
    button.textContent = stopped ? "Start it again" : `Stop server ${server.name}`;
    button.setAttribute("aria-label", stopped ? `Start server ${server.name} again` : `Stop server ${server.name}`);
    mark_yours(card);
  });
  if (demo.events.length === 0) return;
  $("events").replaceChildren(...demo.events.slice().reverse().map((event) => {
    const line = element("li");
    line.append(element("time", "", new Date(event.at_ms).toLocaleTimeString("en-GB")), element("span", "", event.text));
    return line;
  }));
}

// ---- watching: a poll goes the same way as every request, so it shows a move as soon as it happens

// False once it is known that this page belongs to a shop of its own: then there is nothing to stop.
let inDemo = true;

async function poll() {
  if (!inDemo) return;
  const server = answeredBy;
  const demo = await ask("GET", "/demo/state");
  if (demo) show_servers(demo);
  if (server !== null && answeredBy !== server) await shop("GET", "/shop/state");
}

async function watch() {
  if (!document.hidden && !asking) await poll();
  setTimeout(watch, POLL_MS);
}

// ---- start

$("goods").append(...GOODS.map((good) => {
  const item = element("li");
  const button = element("button");
  button.type = "button";
  button.style.setProperty("--tint", good.tint);
  button.setAttribute("aria-label", `Add ${good.name} to the cart`);
  button.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true"><path d="${good.draw}"/></svg>`;
  button.append(element("b", "", good.name), element("span", "", money(good.cents)));
  button.onclick = () => shop("POST", `/shop/cart?item=${good.id}&add=1`);
  item.append(button);
  return item;
}));
$("sign-in").onsubmit = (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name) shop("POST", `/shop/login?user=${encodeURIComponent(name)}`);
};
$("sign-out").onclick = () => { remember(null); shop("POST", "/shop/logout"); };
$("lost-close").onclick = () => { $("lost").hidden = true; };
$("ask").onclick = async () => {
  asking = true;
  $("ask").disabled = true;
  for (let i = 0; i < 20; i++) if (!await ask("GET", "/api/me")) break;
  $("ask").disabled = false;
  asking = false;
};
(async () => {
  await shop("POST", "/shop/visit");
  watch();
})();
