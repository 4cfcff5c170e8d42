// Colours of the stylesheet, and scales between them.

const style = () => getComputedStyle(document.documentElement);

export const variable = (name) => style().getPropertyValue(name).trim();

/** "#rrggbb" -> [r, g, b]. */
export const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** A scale of the stylesheet's heat colours: 0..1 -> {back, front} that can be read. */
export function heatScale() {
  const stops = [0, 1, 2, 3, 4].map((each) => channels(variable(`--heat-${each}`)));
  return (share) => {
    const place = Math.max(0, Math.min(1, share)) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(place));
    const colour = stops[low].map((from, at) => Math.round(from + (stops[low + 1][at] - from) * (place - low)));
    return { back: `rgb(${colour.join(" ")})`, front: luminance(colour) > 0.179 ? "#000000" : "#ffffff" };
  };
}

/** Relative luminance as WCAG defines it. */
export function luminance(colour) {
  const [r, g, b] = colour.map((each) => (each / 255 <= 0.04045 ? each / 255 / 12.92 : ((each / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Call back when the page turns dark or light. */
export const onTheme = (listener) => matchMedia("(prefers-color-scheme: dark)").addEventListener("change", listener);
