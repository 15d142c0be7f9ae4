// The app of this bench with express, express-session and connect-redis, set up as their documentation shows.
//
//   node app.mjs none | redis://127.0.0.1:6379     listens on a port of its own and prints its address
//
// What the handlers do is what those in Rust do; see ../../app/src/content.rs.
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";

const FIELDS = ["page", "cart", "profile", "search", "filters", "history", "messages", "draft"];
const SMALL = {
  user: "184467",
  csrf: "pK3v9sQmYt0bXw7LrN2cHf5aJd8eUg1i",
  cart: "SHOE-42,SOCK-3",
  locale: "de-DE",
  page: "/products/100000",
};
const IDLE_SECONDS = 24 * 60 * 60;
const TEXT_CHARACTERS = 500;
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// A text that no session held before. 32-bit arithmetic, because 64 bits would cost Node.js a BigInt for each character.
let texts = 0;
function text() {
  let state = ++texts;
  let text = "";
  for (let i = 0; i < TEXT_CHARACTERS; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    text += ALPHABET[state >>> 26];
  }
  return text;
}

const [store] = process.argv.slice(2);
const app = express();
if (store !== "none") {
  const client = createClient({ url: store });
  await client.connect();
  app.use(
    session({
      store: new RedisStore({ client, ttl: IDLE_SECONDS }),
      resave: false,
      saveUninitialized: false,
      secret: "a secret of this bench, which signs the id",
    }),
  );
}

app.get("/create", (request, response) => {
  for (const name of FIELDS) {
    const value = text();
    if (request.session) request.session[name] = value;
  }
  response.send("created");
});
app.get("/small", (request, response) => {
  if (request.session) Object.assign(request.session, SMALL);
  response.send("created");
});
app.get("/untouched", (request, response) => {
  response.send("untouched");
});
app.get("/read", (request, response) => {
  response.send(request.session?.[FIELDS[0]] ?? text());
});
app.get("/write", (request, response) => {
  const value = text();
  if (request.session) request.session[FIELDS[0]] = value;
  response.send(value);
});
app.get("/logout", (request, response, next) => {
  if (!request.session) return response.send("gone");
  request.session.destroy((error) => (error ? next(error) : response.send("gone")));
});

const server = app.listen(0, "127.0.0.1", () => {
  const { address, port } = server.address();
  console.log(`${address}:${port}`);
});
