// Runs aimock on loopback: argv is the package's folder and a list of fixtures. It prints its address in one line and
// ends when its standard input does. A reply repeats the decision_id of the prompt, as a model does.
import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [folder, fixtures] = process.argv.slice(2);
const { LLMock } = await import(pathToFileURL(join(folder, "dist", "index.js")));
const mock = new LLMock({ port: 0, host: "127.0.0.1", strict: true });

const text = ({ content }) => (typeof content === "string" ? content : JSON.stringify(content));
const asked = ({ messages }) => /decision_id: "(\w+)"/.exec(messages.map(text).join("\n"))?.[1] ?? "";
const says = (answer) => (request) => ({ ...answer, content: answer.content.replaceAll("$decision_id", asked(request)) });

for (const { match, answer, error, status, retryAfter, chaos } of JSON.parse(fixtures)) {
  const response = error ? { error, status, ...(retryAfter === undefined ? {} : { retryAfter }) } : says(answer);
  mock.on(match, response, chaos ? { chaos } : {});
}
await mock.start();
console.log(mock.url);
process.stdin.resume();
process.stdin.on("end", () => mock.stop().then(() => process.exit(0)));
