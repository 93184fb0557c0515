"use strict";

// The page of the documentation: calls that are tried out carry the token that a signed-in browser has to show.
(() => {
  const page = document.getElementById("swagger-ui");
  SwaggerUIBundle({
    url: page.dataset.schema,
    domNode: page,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    deepLinking: true,
    docExpansion: "none",
    requestInterceptor: (request) => {
      if (page.dataset.csrf && request.method && request.method !== "GET") {
        request.headers["X-CSRFToken"] = page.dataset.csrf;
      }
      return request;
    },
  });
})();
