"""Requests that nobody would write, made from the committed OpenAPI document by schemathesis: `make test` a few, `make soak` many.

No answer is a 5xx, each has a documented status and type, and its body is what the document says.
"""
