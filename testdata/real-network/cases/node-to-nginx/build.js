const { marked } = require("marked");
const fs = require("fs");
fs.mkdirSync("dist", { recursive: true });
fs.writeFileSync("dist/index.html", marked.parse(fs.readFileSync("page.md", "utf8")));
