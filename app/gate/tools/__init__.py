"""The example tools. A file here with a function under `@tool(scope=…)` is all that another one takes."""
