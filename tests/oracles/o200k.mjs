// Reads a JSON list of texts from standard input and writes how many tokens each has, by the encoding o200k_base.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const fromFolder = createRequire(`${process.argv[2]}/`);
const { Tiktoken } = fromFolder("js-tiktoken/lite");
const ranks = fromFolder("js-tiktoken/ranks/o200k_base");
const encoding = new Tiktoken(ranks.default ?? ranks);
const texts = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(texts.map((text) => encoding.encode(text, [], []).length)));
