# The gateway as an image: the locked packages, the source, one writable directory (/data), no root, no build tools.
# Both stages start from one tag, so that the environment made in the first finds its Python in the second. A release
# should pin the tag's digest as well.
FROM python:3.11-slim-bookworm AS build
COPY requirements-uv.lock requirements.lock /build/
RUN python -m venv /build/tools && /build/tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r /build/requirements-uv.lock
RUN python -m venv --without-pip /opt/venv
RUN /build/tools/bin/uv pip install --quiet --link-mode copy --compile-bytecode --python /opt/venv/bin/python --require-hashes -r /build/requirements.lock

FROM python:3.11-slim-bookworm
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
ENV HOME=/data GATEWAY_DATA=/data
COPY --from=build /opt/venv /opt/venv
COPY LICENSE NOTICE /app/
COPY tools/gateway /app/tools/gateway
COPY gateway /app/gateway
COPY prompts /app/prompts
COPY policies /app/policies
# Byte code is made here, since the tree is read-only when it runs.
RUN ln -s /app/tools/gateway /usr/local/bin/gateway && python -m compileall -q /app/gateway
RUN mkdir /data && chown 65532:65532 /data && chmod 0750 /data
WORKDIR /app
# A number, not a name: Kubernetes' runAsNonRoot can check it, and no account has to exist.
USER 65532:65532
VOLUME /data
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8081, timeout=2); c.request('GET', '/readyz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["gateway"]
CMD ["serve", "--host", "0.0.0.0"]
