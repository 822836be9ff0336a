// What is no matter of taste: names that do not exist, that shadow one another, or that nobody uses.
import js from "@eslint/js";
import globals from "globals";

const rules = {
  "no-shadow": "error",
  "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
  "no-use-before-define": ["error", { functions: false, classes: false, variables: false }],
  "prefer-const": ["error", { destructuring: "all" }],
  "no-var": "error",
  "eqeqeq": ["error", "always", { null: "ignore" }],
  "no-implicit-globals": "error",
};

export default [
  js.configs.recommended,
  { files: ["explorer/**/*.js"], languageOptions: { globals: globals.browser }, rules },
  { files: ["tests/**/*.mjs", ".ci/**/*.js"], languageOptions: { globals: globals.node }, rules },
  { ignores: ["**/node_modules/"] },
];
