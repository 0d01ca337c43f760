# One image in five dresses: ray, ray-node, mlflow, worker, panel. They share every layer and
# differ in what they start; docker-compose.yml says how they run together.
#
#   docker build --build-arg BUILD_COMMIT="$(git rev-parse HEAD)" --target panel .

FROM python:3.11.14-slim-bookworm AS builder

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /srv/pilothouse

# pyspark and antlr4 come as source archives of pure Python: the locked setuptools, put in
# first, makes wheels of them. Nothing outside the lock is fetched, and no compiler is needed.
COPY requirements.lock ./
RUN python -m venv /opt/venv \
 && sed -n '/^setuptools==/,/^    # via/p' requirements.lock > /tmp/setuptools.lock \
 && /opt/venv/bin/pip install --no-deps --require-hashes -r /tmp/setuptools.lock \
 && /opt/venv/bin/pip install --no-deps --require-hashes --no-build-isolation --use-pep517 \
      -r requirements.lock

# Editable, because the code finds params.yaml and the panel beside itself.
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY core core
COPY serve serve
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation --editable . \
 && /opt/venv/bin/python -m compileall -q app core serve


FROM python:3.11.14-slim-bookworm AS base

RUN useradd --uid 10001 --create-home pilothouse \
 && install --directory --owner=pilothouse --group=pilothouse /var/lib/pilothouse

WORKDIR /srv/pilothouse
COPY --from=builder /opt/venv /opt/venv
COPY --from=builder /srv/pilothouse ./
COPY params.yaml ./
COPY .streamlit .streamlit
COPY deploy/container deploy/container

# There is no .git in the image; core/training/provenance.py reads the commit from here.
ARG BUILD_COMMIT=unknown
RUN printf '%s\n' "$BUILD_COMMIT" > BUILD_COMMIT

# GitPython, which MLflow and DVC import, would complain that there is no git.
ENV PATH=/opt/venv/bin:$PATH \
    PILOTHOUSE_HOME=/var/lib/pilothouse \
    GIT_PYTHON_REFRESH=quiet
USER 10001
VOLUME /var/lib/pilothouse


FROM base AS ray
# Serve's replicas and Spark need a while after the head stands; it is the head that is asked.
HEALTHCHECK --start-period=60s --interval=15s --timeout=10s --retries=4 \
    CMD ["python", "deploy/container/healthy.py", "ray"]
CMD ["pilothouse", "service", "ray"]


FROM base AS ray-node
HEALTHCHECK --start-period=60s --interval=15s --timeout=10s --retries=4 \
    CMD ["python", "deploy/container/healthy.py", "ray"]
CMD ["pilothouse", "service", "ray-node"]


FROM base AS mlflow
# The first start makes MLflow's tables.
HEALTHCHECK --start-period=90s --interval=15s --timeout=10s --retries=4 \
    CMD ["python", "deploy/container/healthy.py", "mlflow"]
CMD ["pilothouse", "service", "mlflow"]


FROM base AS worker
HEALTHCHECK --start-period=60s --interval=15s --timeout=10s --retries=4 \
    CMD ["python", "deploy/container/healthy.py", "worker"]
CMD ["pilothouse", "service", "worker"]


FROM base AS panel
HEALTHCHECK --start-period=60s --interval=15s --timeout=10s --retries=4 \
    CMD ["python", "deploy/container/healthy.py", "panel"]
CMD ["pilothouse", "service", "panel"]
