// Runs inside a browser. Returns the accessibility problems of the page: contrast below 4.5 (WCAG AA), a page wider than its window, a
// wrong order of headings, no language.
const luminance = (color) => {
  const [r, g, b] = color.match(/[\d.]+/g).map((part) => {
    const value = Number(part) / 255;
    return value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const backgroundOf = (element) => {
  if (!element) return 'rgb(255, 255, 255)';
  const { backgroundColor } = getComputedStyle(element);
  return backgroundColor === 'rgba(0, 0, 0, 0)' ? backgroundOf(element.parentElement) : backgroundColor;
};

function violations() {
  const found = [];
  for (const element of document.querySelectorAll('h1, h2, p, code, a, li span')) {
    const [light, dark] = [getComputedStyle(element).color, backgroundOf(element)].map(luminance).sort((a, b) => b - a);
    const contrast = (light + 0.05) / (dark + 0.05);
    if (contrast < 4.5) found.push(`contrast ${contrast.toFixed(2)}: ${element.textContent}`);
  }
  if (document.documentElement.scrollWidth > window.innerWidth) found.push('wider than the window');
  if (!document.documentElement.lang) found.push('no language');
  const levels = [...document.querySelectorAll('h1, h2, h3')].map(({ tagName }) => tagName).join(' ');
  if (!/^H1( H2)+$/.test(levels)) found.push(`headings ${levels}`);
  return found;
}

violations();
