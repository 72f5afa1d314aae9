"""The drawing with the outer dimensions: three views of the model, hidden lines removed, as SVG."""

from __future__ import annotations

from pathlib import Path

from build123d import Compound, Edge, GeomType

from racklet_case.assembly import Assembly

Point = tuple[float, float]

_FAR = 2000.0
_CURVE_POINTS = 10
_MARGIN, _GAP = 26.0, 46.0
_STYLE = (
    "text{font:5px sans-serif;fill:#123}.c{font-size:6px;font-weight:bold}"
    "path{fill:none;stroke:#222;stroke-width:.25}.d{stroke:#0a5;stroke-width:.3}"
)


def write(assembly: Assembly, path: Path) -> None:
    """Write front, side and top, with width, depth, heights and pitch."""
    at = assembly.at
    shapes = [part.shape for part in assembly.placed if not part.name.startswith("light")]
    whole = Compound(children=shapes)
    box = whole.bounding_box()
    middle = ((box.min.X + box.max.X) / 2, (box.min.Y + box.max.Y) / 2, (box.min.Z + box.max.Z) / 2)
    width, depth, height = box.size.Y, box.size.X, box.size.Z
    front = _view(whole, (_FAR, 0, 0), (0, 0, 1), middle)
    side = _view(whole, (0, _FAR, 0), (0, 0, 1), middle)
    top = _view(whole, (0, 0, _FAR), (1, 0, 0), middle)
    row = at.row_z(0) - middle[2], at.row_z(1) - middle[2]
    case_top = at.inner_z[1] + at.p.case.wall - middle[2]
    case_bottom = at.inner_z[0] - at.p.case.wall - middle[2]
    x, y = _MARGIN + width / 2, _MARGIN + height / 2
    body = [
        _group(x, y, "front", front, -height / 2),
        _dimension((x - width / 2, y + height / 2 + 8), (x + width / 2, y + height / 2 + 8), f"{width:.1f}"),
        _dimension(
            (x - width / 2 - 8, y - case_top), (x - width / 2 - 8, y - case_bottom), f"{case_top - case_bottom:.1f}"
        ),
        _dimension((x + width / 2 + 8, y - row[1]), (x + width / 2 + 8, y - row[0]), f"{at.p.rack.pitch:.1f}"),
        _dimension((x + width / 2 + 20, y - height / 2), (x + width / 2 + 20, y + height / 2), f"{height:.1f}"),
    ]
    x += width / 2 + _GAP + depth / 2
    tray = at.front_x + at.p.tray.front - middle[0]
    rear = at.rear_x[0] - middle[0]
    body += [
        _group(x, y, "right side", side, -height / 2),
        _dimension((x - depth / 2, y + height / 2 + 8), (x + depth / 2, y + height / 2 + 8), f"{depth:.1f}"),
        _dimension((x - tray, y - height / 2 - 5), (x - rear, y - height / 2 - 5), f"{tray - rear:.1f}"),
    ]
    x += depth / 2 + _GAP + width / 2
    body.append(_group(x, _MARGIN + depth / 2, "top, front below", top, -depth / 2, flip=True))
    page = (x + width / 2 + _MARGIN, y + height / 2 + _MARGIN)
    paper = f'width="{page[0]:.0f}mm" height="{page[1]:.0f}mm" viewBox="0 0 {page[0]:.1f} {page[1]:.1f}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {paper}>'
    path.write_text(
        "\n".join([svg, f"<style>{_STYLE}</style>", '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>"])
        + "\n",
        encoding="utf-8",
    )


def _view(
    whole: Compound, eye: tuple[float, float, float], up: tuple[float, float, float], middle: tuple[float, float, float]
) -> list[Edge]:
    origin = tuple(m + e for m, e in zip(middle, eye, strict=True))
    visible, _ = whole.project_to_viewport(origin, up, look_at=middle)
    return list(visible)


def _group(x: float, y: float, title: str, edges: list[Edge], top: float, *, flip: bool = False) -> str:
    path = "".join(_path(edge, flip=flip) for edge in edges)
    name = f'<text class="c" text-anchor="middle" y="{top - 14:.1f}">{title}</text>'
    return f'<g transform="translate({x:.2f} {y:.2f})"><path d="{path}"/>{name}</g>'


def _path(edge: Edge, *, flip: bool) -> str:
    steps = 1 if edge.geom_type == GeomType.LINE else _CURVE_POINTS
    points = [edge.position_at(index / steps) for index in range(steps + 1)]
    sign = 1 if flip else -1
    return "M" + "L".join(f"{sign * -point.X if flip else point.X:.2f} {sign * point.Y:.2f}" for point in points)


def _dimension(start: Point, end: Point, text: str) -> str:
    """Return a dimension line with its number, lying or standing."""
    lying = abs(start[1] - end[1]) < 1e-6  # rounding
    (ax, ay), (bx, by) = start, end
    ticks = [f"M{x:.2f} {y:.2f}m-1.2 1.2l2.4 -2.4" for x, y in (start, end)]
    line = f'<path class="d" d="M{ax:.2f} {ay:.2f}L{bx:.2f} {by:.2f}{"".join(ticks)}"/>'
    x, y = (ax + bx) / 2, (ay + by) / 2
    turn = "" if lying else f' transform="rotate(-90 {x - 1.5:.2f} {y:.2f})"'
    place = f'x="{x if lying else x - 1.5:.2f}" y="{y - 1.5 if lying else y:.2f}"'
    return f'{line}<text text-anchor="middle" {place}{turn}>{text}</text>'
