# One image for `serve`, `worker` and `migrate`; compose.yml says which.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 \
    TIXXETY_NO_VENV=1

RUN useradd --system --uid 10001 tixxety
WORKDIR /srv/tixxety

COPY requirements.lock ./
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
    --require-hashes --no-deps -r requirements.lock

COPY LICENSE ./
COPY domain ./domain
COPY eventstore ./eventstore
COPY projections ./projections
COPY auditing ./auditing
COPY api ./api
COPY workers ./workers
COPY tixxety ./tixxety

USER tixxety
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["python", "-m", "tixxety"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
