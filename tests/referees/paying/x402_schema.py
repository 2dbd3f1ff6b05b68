"""The x402 package reads what we send: JSON with `required` (the header), `result` (of an unpaid tool), `question` (to a facilitator)
and `response` on its input; raises for what it would not accept, and prints what it understood."""

import importlib
import json
import sys

given = json.load(sys.stdin)
utils = importlib.import_module("x402.http.utils")
mcp = importlib.import_module("x402.mcp.utils")
types = importlib.import_module("x402.mcp.types")
responses = importlib.import_module("x402.schemas.responses")

required = utils.decode_payment_required_header(given["required"])
result = given["result"]
tool = types.MCPToolResult(
    content=result["content"], is_error=True, meta={}, structured_content=result["structuredContent"]
)
text_only = types.MCPToolResult(content=result["content"], is_error=True, meta={}, structured_content=None)
in_mcp = [mcp.extract_payment_required_from_result(each) for each in (tool, text_only)]
question = responses.VerifyRequest.model_validate(given["question"])
response = utils.decode_payment_response_header(given["response"])
print(
    json.dumps(
        {
            "amounts": [accepted.amount for accepted in required.accepts],
            "url": required.resource.url,
            "in_mcp": [[accepted.amount for accepted in each.accepts] for each in in_mcp],
            "asked_for": question.payment_requirements.amount,
            "success": response.success,
        }
    )
)
