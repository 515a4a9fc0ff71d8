# One image for `serve`, `worker` and `migrate`; compose.yml says which. `--build-arg PARQUET=1` adds Parquet, 170 MB.
FROM python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS base

FROM base AS build
ARG PARQUET=
WORKDIR /srv/tixxety
COPY requirements-image.lock requirements-parquet.lock /locks/
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv --without-pip /opt/tixxety && \
    PIP_CACHE_DIR=/var/cache/pip python -m pip --python /opt/tixxety/bin/python install --disable-pip-version-check --root-user-action=ignore \
    --require-hashes --no-deps -r /locks/requirements-image.lock ${PARQUET:+-r /locks/requirements-parquet.lock}
COPY LICENSE ./
COPY domain ./domain
COPY eventstore ./eventstore
COPY projections ./projections
COPY auditing ./auditing
COPY accounts ./accounts
COPY api ./api
COPY workers ./workers
COPY tixxety ./tixxety
# The container's user can write no bytecode.
RUN python -m compileall -q --invalidation-mode unchecked-hash . && \
    printf '#!/bin/sh\nexec /opt/tixxety/bin/python /srv/tixxety/tixxety "$@"\n' >/opt/tixxety/bin/tixxety && \
    chmod 755 /opt/tixxety/bin/tixxety

FROM base
ENV HOME=/tmp \
    PATH=/opt/tixxety/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/tixxety /opt/tixxety
COPY --from=build /srv/tixxety /srv/tixxety
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import http.client as http; api = http.HTTPConnection('127.0.0.1', 8000, timeout=2); api.request('GET', '/health/live'); raise SystemExit(api.getresponse().status != 200)"]
ENTRYPOINT ["tixxety"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
