"""The API's documentation: the OpenAPI document, its pages in a browser, and a page for each problem."""
