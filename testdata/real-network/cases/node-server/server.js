const express = require("express");
const app = express();
app.get("/", (request, response) => response.send("it works"));
app.listen(3000, "127.0.0.1");
