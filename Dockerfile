# syntax=docker/dockerfile:1

# --- build: the locked dependencies first, so that a change of code does not fetch them again ---
FROM python:3.13-slim-bookworm AS build

ENV PIP_NO_CACHE_DIR=1 \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never

RUN pip install uv==0.13.9
WORKDIR /app
COPY pyproject.toml uv.lock README.md ./
RUN uv sync --frozen --no-dev --no-install-project
COPY src ./src
COPY migrations ./migrations
RUN uv sync --frozen --no-dev --no-editable

# --- run: no compiler, no uv, no root ---
FROM python:3.13-slim-bookworm

RUN groupadd --system --gid 10001 bitloot \
    && useradd --system --uid 10001 --gid bitloot --home-dir /app --no-create-home bitloot \
    && install -d -o bitloot -g bitloot /var/lib/bitloot

COPY --from=build /app/.venv /app/.venv

ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

WORKDIR /app
USER bitloot
EXPOSE 8000
STOPSIGNAL SIGTERM

# For the web role; the other roles switch it off where they are declared.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]

ENTRYPOINT ["bitloot"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
