"""Programs that pay, and that judge macaroons: other people's, in Node and in a Python of their own."""
