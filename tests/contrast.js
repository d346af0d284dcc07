// Every piece of text on the page whose contrast with what lies behind it is below 4.5, as WCAG 2 counts it.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  // The canvas knows every way to write a colour.
  const colour = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const light = (rgb) => {
    const [red, green, blue] = rgb.map((value) => value / 255).map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const contrast = (one, other) => {
    const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const poor = [], range = document.createRange();
  let seen = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || element.closest("script, style, .sr-only")) continue;
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width || !box.height || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    let ground = [255, 255, 255], opacity = 1;
    const line = [];
    for (let each = element; each; each = each.parentElement) line.unshift(each);
    for (const each of line) {
      const style = getComputedStyle(each);
      opacity *= Number(style.opacity);
      ground = over(colour(style.backgroundColor), ground);
    }
    const ink = colour(getComputedStyle(element).color);
    const found = contrast(over([...ink.slice(0, 3), ink[3] * opacity], ground), ground);
    seen += 1;
    if (found < 4.5) poor.push(`${found.toFixed(2)}: ${node.data.trim()}`);
  }
  return { seen, poor };
}
